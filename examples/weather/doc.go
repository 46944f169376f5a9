// Weather is Herald's first example. Run without arguments it tells a story of
// some ten seconds, over real TCP connections on this machine:
//
//	go run ./examples/weather
//
// Three weather services publish readings, each on its own socket, and one
// subscriber takes what it wants of all of them. One service freezes and a spare
// takes over, one crashes and comes back, one leaves. What the subscriber learns
// of that is narrated. The exit code is 1 if something did not happen that should
// have.
//
// The two halves can also be run in two terminals, or on two machines:
//
//	go run ./examples/weather -publish tcp://*:5556
//	go run ./examples/weather -subscribe tcp://localhost:5556
//
// Ctrl-C ends either; -h lists the options. The readings are those of a CSV file,
// -data FILE, with the columns station, time (RFC 3339), temperature (°C) and
// humidity (%). Those that come with the example are invented, after a day in
// April.
//
// What is where: main.go has the two halves, which is all that a program of your
// own needs, story.go the story, relay.go the network path that can fail,
// readings.go the data, and narrator.go what is printed.
package main

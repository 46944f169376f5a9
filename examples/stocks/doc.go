// Stocks is Herald's example of typed topics, filters and many small events. Run
// without arguments it shows a trading day of five seconds, over real TCP
// connections on this machine:
//
//	go run ./examples/stocks
//
// Three exchanges publish the ticks of a few hundred symbols, each on its own
// socket, and one subscriber takes all of one exchange except one symbol, all of
// another, and of the third a single symbol. In a terminal it shows a table of last
// prices that is redrawn in place, elsewhere a line each second. At the end it
// compares what was published with what came: the exit code is 1 if as much as one
// tick is missing, or came through that should not have.
//
// The two halves can also be run in two terminals, or on two machines:
//
//	go run ./examples/stocks -publish tcp://*:5557
//	go run ./examples/stocks -subscribe tcp://localhost:5557
//
// Ctrl-C ends either; -h lists the options. Symbols and prices are invented: a
// random walk that is the same each time.
//
// What is where: main.go has the command line, market.go what is published, day.go
// the trading day, board.go what the subscriber makes of it and screen.go how that
// is shown.
package main

// Command herald publishes and subscribes from the command line, and is the way
// in for scripts of any language. It is a thin face on the public packages:
// whatever it does, a program can do with them.
//
//	herald pub --bind tcp://*:5556 --wait 1 weather.paris 21.5
//	herald sub --connect tcp://localhost:5556 --prefix weather.
//
// Every command has a --help. What holds for all of them:
//
// Results go to stdout, everything else to stderr. The exit code is 0 for done,
// 1 for a failure, which is told in one line, 2 for wrong usage, and 3 where
// --timeout ran out before --count events came.
//
// SIGINT and SIGTERM end a command in order: a publisher sends what is queued and
// says goodbye, a subscriber writes the lines it has. That is code 0 too,
// unless nothing could be done yet (pub in --wait). A second signal ends the
// process at once, with 1. When the reader of stdout goes away (| head), a command ends
// quietly, with 0.
//
// Flags are written --name VALUE or --name=VALUE. Those that are lists can be
// repeated, or take several values with commas between them; a comma that belongs
// to a value is written \,. Flags stand before the arguments or after them, and not
// in between, so that an argument can be anything, also -5 or --bind.
//
// # How it is built
//
// Each command is one file with one variable of type command, listed in
// commands (main.go). Its setup registers flags, those that several commands have
// by the types of flags.go, and returns the function that runs it. That function
// takes its streams as arguments and ends with its context, so a test calls it like
// any other. A usageError makes exit code 2, errTimeout 3, any other error 1.
package main

// Command bench compares Herald with its peers on the machine it runs on:
//
//	go run ./bench [-quick] [-cases regex] [-systems list] [-rounds N] [-duration D]
//	               [-json FILE] [-md FILE] [-svg DIR]
//
// It builds and runs whatever is available, prints a Markdown table for each
// group of cases, and a line for whatever it left out and why.
//
// # How a figure comes about
//
// The parent starts its own binary again in a hidden role (publisher,
// subscriber, server …), so that the two sides of a case are two processes
// that meet over loopback; only inproc cases have one. libzmq's side is a C
// program, libzmq/peer.c, built once by cc. Both speak the same few lines over
// stdin and stdout (see child.go), and leave when stdin ends, so nobody
// outlives the parent. Every run has a time limit; one that passes it is
// killed and reported as left out.
//
// Publishers and subscribers count in memory which they share with the parent
// (counters.go). The parent takes the counts at both ends of a window after a
// warm-up, so all systems are measured by one clock and one rule. At the end
// the publisher stops, and the run counts only if every subscriber has then
// got exactly as many events as were published, each publisher's in order and
// without a hole: the number is in each payload's first eight bytes. (The
// ceiling's reader looks at lengths only: there the counts alone must agree.)
//
// Lossless means that the publisher is held back: by the system itself where
// it can do that, and otherwise by a window: the publisher waits while more
// than so many events are under way, which it sees in the shared counts
// without a message. Each system says which ([System.Lossless]).
//
// Within a case the systems take turns, round by round. The tables give the
// median over the rounds with minimum and maximum, and the median of the
// quotients with libzmq's figure of the same round.
//
// # What is where
//
// case.go has the cases, system.go what a system must offer ([Driver]) and the
// list of them, one file each; harness.go runs one case for one system;
// report.go and plot.go show what came out. Nothing outside this folder may
// import the modules that it needs.
package main

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	if isChild() {
		childMain()
	}
	err := compare(os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// errUsage is returned for flags that have been complained about already.
var errUsage = errors.New("bench: wrong usage")

// compare is the command.
func compare(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: go run ./bench [flags]\n\nCompares Herald with its peers on this machine. For example, libzmq and NATS at all payload sizes:\n\n  go run ./bench -systems libzmq,nats -cases '^payload, tcp/'\n\nFlags:")
		flags.PrintDefaults()
	}
	quick := flags.Bool("quick", false, "fewer cases, one round of 200 ms: a look, not a measurement")
	only := flags.String("cases", "", "run only the cases whose group/name matches this `regex`")
	names := flags.String("systems", "", "run only these systems, a `list` with commas")
	rounds := flags.Int("rounds", 0, "how often each system runs in each case (default 3; quick 1)")
	duration := flags.Duration("duration", 0, "the window of a run (default 400ms; quick 200ms)")
	jsonFile := flags.String("json", "", "write the report as JSON to this `file`")
	mdFile := flags.String("md", "", "write the tables to this `file` too")
	svgDir := flags.String("svg", "", "draw the charts into this `folder`")
	list := flags.Bool("list", false, "list the cases and systems and do nothing")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	complain := func(format string, args ...any) error {
		fmt.Fprintf(stderr, "bench: "+format+"\n", args...)
		return errUsage
	}
	if flags.NArg() > 0 {
		return complain("unexpected argument %q", flags.Arg(0))
	}
	harness := &Harness{Warm: 150 * time.Millisecond, Duration: 400 * time.Millisecond, Limit: 25 * time.Second}
	if *quick {
		harness.Warm, harness.Duration = 80*time.Millisecond, 200*time.Millisecond
	}
	if *duration < 0 || *rounds < 0 {
		return complain("-duration %v and -rounds %d must not be negative", *duration, *rounds)
	}
	if *duration > 0 {
		harness.Duration = *duration
	}
	if *rounds == 0 {
		*rounds = 3
		if *quick {
			*rounds = 1
		}
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return complain("-cases: %v", err)
	}
	var wanted []string
	if *names != "" {
		wanted = strings.Split(*names, ",")
	}
	chosenSystems, err := chosen(wanted)
	if err != nil {
		return complain("-systems: %v", err)
	}
	var chosenCases []*Case
	for _, c := range cases(*quick) {
		if match.MatchString(c.ID()) {
			chosenCases = append(chosenCases, c)
		}
	}
	if len(chosenCases) == 0 {
		return complain("-cases %q matches none of the cases: see -list", *only)
	}
	if *list {
		for _, c := range chosenCases {
			fmt.Fprintf(stdout, "case   %s\n", c.ID())
		}
		for _, s := range chosenSystems {
			fmt.Fprintf(stdout, "system %s: %s\n", s.Name, s.About)
		}
		return nil
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if harness.Dir, err = os.MkdirTemp("", "herald-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(harness.Dir)
	files := raiseFiles()
	comparison := &Comparison{Harness: harness, Systems: chosenSystems, Cases: chosenCases, Rounds: *rounds, Progress: stderr}
	var notes []string
	for _, c := range chosenCases {
		// libzmq has two descriptors a socket.
		if need := uint64(2*c.Subs + 200); need > files {
			notes = append(notes, fmt.Sprintf("Left out for all: %s needs %d open files, the limit is %d (raise it with ulimit -Hn).", c.ID(), need, files))
			fmt.Fprintln(stderr, notes[len(notes)-1])
			comparison.Cases = without(comparison.Cases, c)
		}
	}
	report := comparison.Run(ctx)
	report.Machine = describeMachine(libzmqVersion(harness.Dir), files)
	report.Notes = notes

	err = report.WriteMarkdown(stdout)
	if *mdFile != "" {
		err = errors.Join(err, writeFile(*mdFile, report.WriteMarkdown))
	}
	if *jsonFile != "" {
		err = errors.Join(err, writeFile(*jsonFile, report.WriteJSON))
	}
	if *svgDir != "" {
		err = errors.Join(err, report.WritePlots(*svgDir))
	}
	if report.Interrupted {
		err = errors.Join(err, errors.New("bench: interrupted"))
	}
	return err
}

// without is the list without one of its cases.
func without(list []*Case, c *Case) []*Case {
	var rest []*Case
	for _, other := range list {
		if other != c {
			rest = append(rest, other)
		}
	}
	return rest
}

// writeFile writes a file by a function.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

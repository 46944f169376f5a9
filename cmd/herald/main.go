package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/heraldbus/herald/bus"
)

// commands are all that there are, in the order of the help.
func commands() []*command {
	return []*command{pubCommand, subCommand, versionCommand, helpCommand()}
}

// Exit codes.
const (
	exitDone    = 0
	exitFailure = 1
	exitUsage   = 2
	exitTimeout = 3
)

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		cancel(fmt.Errorf("signal: %v", <-signals))
		<-signals // the second one: do not wait for the end in order
		os.Exit(exitFailure)
	}()
	// With a handler for SIGPIPE, a write to a closed stdout returns EPIPE instead
	// of ending the process.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// console is the streams of a command. Writing to err must be safe for concurrent
// use, as it is to an *os.File.
type console struct {
	in       io.Reader
	out, err io.Writer
}

// command is one of herald's commands.
type command struct {
	name    string
	args    []string // the names of its arguments; there are either all or none
	summary string   // one line, in lower case
	usage   string   // what stands after the name
	about   string   // paragraphs on what it does
	example string   // a worked one
	// setup registers the flags, and returns what runs the command once they are
	// parsed.
	setup func(*flag.FlagSet) action
}

// action runs a command until it is done or ctx ends.
type action func(ctx context.Context, args []string, c console) error

// usageError is a mistake in how a command was called.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// errTimeout is wrapped by the error of a command whose --timeout ran out before
// it was done.
var errTimeout = errors.New("timeout")

// run is the whole program but for the signals, which end ctx.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := console{stdin, stdout, stderr}
	if len(args) == 0 {
		fmt.Fprint(stderr, overview())
		return exitUsage
	}
	name := args[0]
	switch name {
	case "-h", "-help", "--help":
		name = "help"
	case "-version", "--version":
		name = "version"
	}
	cmd := find(name)
	if cmd == nil {
		fmt.Fprintf(stderr, "herald: unknown command %q (see herald help)\n", name)
		return exitUsage
	}
	return exitCode(cmd, cmd.run(ctx, args[1:], c), stderr)
}

func find(name string) *command {
	for _, cmd := range commands() {
		if cmd.name == name {
			return cmd
		}
	}
	return nil
}

// run parses the flags and runs the command.
func (cmd *command) run(ctx context.Context, args []string, c console) error {
	f, do := cmd.flags()
	args, err := cmd.parse(f, args)
	if errors.Is(err, flag.ErrHelp) {
		_, err = io.WriteString(c.out, cmd.help())
		return quiet(err)
	}
	if err != nil {
		return err
	}
	return do(ctx, args, c)
}

func (cmd *command) flags() (*flag.FlagSet, action) {
	f := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	return f, cmd.setup(f)
}

// parse parses flags, then the arguments, whatever they look like, then flags
// again.
func (cmd *command) parse(f *flag.FlagSet, all []string) (args []string, err error) {
	if err := f.Parse(all); err != nil {
		return nil, flagError(err)
	}
	args = f.Args()
	if n := len(cmd.args); len(args) > n {
		rest := args[n:]
		args = args[:n:n]
		if err := f.Parse(rest); err != nil {
			return nil, flagError(err)
		}
		if f.NArg() > 0 {
			return nil, usagef("unexpected argument %q", f.Arg(0))
		}
	}
	if n := len(args); n > 0 && n < len(cmd.args) {
		return nil, usagef("%s is missing", cmd.args[n])
	}
	return args, nil
}

// flagWords puts the flag package's errors into the words of this program.
var flagWords = strings.NewReplacer(
	"flag provided but not defined: -", "unknown flag --",
	"flag needs an argument: -", "no value for --",
	" for flag -", " for --",
	"invalid boolean value ", "invalid value ",
	" for -", " for --",
	": parse error", "",
)

func flagError(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	return &usageError{flagWords.Replace(err.Error())}
}

// exitCode tells of an error, in one line, and returns the exit code for it.
func exitCode(cmd *command, err error, stderr io.Writer) int {
	if err == nil {
		return exitDone
	}
	text := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", "; "), "bus: ")
	code := exitFailure
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		code = exitUsage
		text += " (see herald " + cmd.name + " --help)"
	case errors.Is(err, errTimeout):
		code = exitTimeout
	}
	fmt.Fprintf(stderr, "herald %s: %s\n", cmd.name, text)
	return code
}

// configError makes what is wrong with a configuration the mistake in usage that
// it is, without the names that the fields have in Go: what is wrong with an
// endpoint names the endpoint. Flags that are not endpoints are checked when they
// are parsed.
func configError(err error) error {
	var config *bus.ConfigError
	if !errors.As(err, &config) {
		return err
	}
	var texts []string
	for _, field := range config.Fields {
		if inner := errors.Unwrap(field); inner != nil {
			field = inner
		}
		texts = append(texts, field.Error())
	}
	return &usageError{strings.Join(texts, "; ")}
}

// quiet is nil for the error of writing to a reader that went away, which is how
// `herald … | head` ends.
func quiet(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

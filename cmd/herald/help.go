package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
)

// helpCommand is a function, and not a variable as other commands are, because it
// knows them all.
func helpCommand() *command {
	return &command{
		name:    "help",
		args:    []string{"COMMAND"},
		summary: "says what the commands are, or how to use one",
		usage:   "[COMMAND]",
		about:   "Says what the commands are or, with COMMAND, what COMMAND --help does.",
		example: "herald help sub",
		setup:   func(*flag.FlagSet) action { return help },
	}
}

func help(_ context.Context, args []string, c console) error {
	text := ""
	if len(args) == 0 {
		text = overview()
	} else if cmd := find(args[0]); cmd != nil {
		text = cmd.help()
	} else {
		return usagef("unknown command %q", args[0])
	}
	_, err := io.WriteString(c.out, text)
	return quiet(err)
}

// overview lists the commands.
func overview() string {
	var b strings.Builder
	b.WriteString("herald is an event bus without a broker, on ZeroMQ's wire protocol.\n\n")
	b.WriteString("Usage: herald COMMAND [flags] [arguments]\n\n")
	for _, cmd := range commands() {
		fmt.Fprintf(&b, "  %-10s %s\n", cmd.name, cmd.summary)
	}
	b.WriteString("\nherald COMMAND --help says how to use a command.\n\n")
	b.WriteString(wrap(`Results go to stdout, everything else to stderr. Exit codes: 0 done, `+
		`1 failure, 2 wrong usage, 3 --timeout ran out before --count events came. `+
		`Ctrl-C and SIGTERM end a command in order.`, ""))
	return b.String()
}

// help is what --help prints.
func (cmd *command) help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: herald %s\n\n", strings.TrimSpace(cmd.name+" "+cmd.usage))
	for para := range strings.SplitSeq(cmd.about, "\n\n") {
		b.WriteString(wrap(para, "") + "\n")
	}
	f, _ := cmd.flags()
	heading := "Flags:\n"
	f.VisitAll(func(fl *flag.Flag) {
		b.WriteString(heading)
		heading = ""
		value, text := flag.UnquoteUsage(fl)
		dash := "--"
		if len(fl.Name) == 1 {
			dash = "-"
		}
		switch fl.DefValue {
		case "", "0", "0s", "false":
		default:
			text += " (default " + fl.DefValue + ")"
		}
		fmt.Fprintf(&b, "  %s\n%s", strings.TrimSpace(dash+fl.Name+" "+value), wrap(text, "        "))
	})
	if heading == "" {
		b.WriteString("\n")
	}
	b.WriteString("Example:\n")
	for line := range strings.SplitSeq(cmd.example, "\n") {
		b.WriteString("  " + line + "\n")
	}
	return b.String()
}

// wrap breaks a text into indented lines of at most 80 columns.
func wrap(text, indent string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+n > 80:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String() + "\n"
}

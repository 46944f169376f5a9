package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain is herald itself where a test starts its own binary as a process, see
// spawn. Else it runs the tests, and then looks for goroutines that were left.
func TestMain(m *testing.M) {
	if os.Getenv("HERALD_TEST_MAIN") != "" {
		main()
	}
	code := m.Run()
	if code == 0 {
		if left := leaked(); left != "" {
			fmt.Fprintln(os.Stderr, "goroutines left behind:\n"+left)
			code = 1
		}
	}
	os.Exit(code)
}

// leaked returns the stacks of goroutines in this module's code that do not end.
func leaked() string {
	buf := make([]byte, 1<<20)
	for deadline := time.Now().Add(2 * time.Second); ; runtime.Gosched() {
		var left []string
		stacks := string(buf[:runtime.Stack(buf, true)])
		for i, g := range strings.Split(stacks, "\n\n") {
			if i > 0 && strings.Contains(g, "heraldbus/herald") {
				left = append(left, g)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return strings.Join(left, "\n\n")
		}
	}
}

// buffer is an output that can be waited for.
type buffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{}
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// next returns what has been written and a channel that is closed at the next
// write.
func (b *buffer) next() (string, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return b.b.String(), b.changed
}

// patienceOfTests ends a test that would hang.
const patienceOfTests = 20 * time.Second

// process is herald as it runs, in this process.
type process struct {
	t        *testing.T
	args     []string
	out, err buffer
	stop     context.CancelFunc // what a signal does
	code     chan int
}

// start runs herald until the test ends.
func start(t *testing.T, stdin io.Reader, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{t: t, args: args, stop: cancel, code: make(chan int, 1)}
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.code <- run(ctx, args, stdin, &p.out, &p.err)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return p
}

// exits waits for the end, and checks the exit code.
func (p *process) exits(code int) *process {
	p.t.Helper()
	select {
	case got := <-p.code:
		if got != code {
			p.t.Fatalf("herald %q: exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", p.args, got, code, p.out.String(), p.err.String())
		}
	case <-time.After(patienceOfTests):
		p.t.Fatalf("herald %q does not end\nstdout:\n%s\nstderr:\n%s", p.args, p.out.String(), p.err.String())
	}
	return p
}

// await waits until an output has a line that begins with prefix, and returns the
// rest of the first such line.
func (p *process) await(b *buffer, prefix string) string {
	p.t.Helper()
	timeout := time.After(patienceOfTests)
	for {
		text, changed := b.next()
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(line, prefix); ok && strings.HasSuffix(rest, "\n") {
				return strings.TrimSuffix(rest, "\n")
			}
		}
		select {
		case <-changed:
		case <-timeout:
			p.t.Fatalf("herald %q: no line %q…\nstdout:\n%s\nstderr:\n%s", p.args, prefix, p.out.String(), p.err.String())
		}
	}
}

// bound is the endpoint that a command has bound at port 0.
func (p *process) bound() string {
	p.t.Helper()
	return p.await(&p.err, "bound ")
}

// objects reads an output of JSON lines.
func objects(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(text) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, o)
	}
	return all
}

// does runs herald to its end.
func does(t *testing.T, code int, args ...string) *process {
	t.Helper()
	return start(t, nil, args...).exits(code)
}

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; if it should, run go test -update\ngot:\n%s", path, got)
	}
}

func TestHelp(t *testing.T) {
	golden(t, "help.txt", does(t, exitDone, "help").out.String())
	golden(t, "help.txt", does(t, exitDone, "--help").out.String())
	golden(t, "help.txt", does(t, exitUsage).err.String())
	for _, cmd := range commands() {
		t.Run(cmd.name, func(t *testing.T) {
			text := does(t, exitDone, cmd.name, "--help").out.String()
			golden(t, "help_"+cmd.name+".txt", text)
			for _, args := range [][]string{{cmd.name, "-h"}, {"help", cmd.name}} {
				if got := does(t, exitDone, args...).out.String(); got != text {
					t.Errorf("herald %q prints something else than --help:\n%s", args, got)
				}
			}
			for line := range strings.Lines(text) {
				if n := len([]rune(line)); n > 81 && !strings.HasPrefix(line, "  herald") {
					t.Errorf("a line has %d columns: %s", n-1, line)
				}
			}
		})
	}
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		text := does(t, exitDone, arg).out.String()
		if !strings.HasPrefix(text, "herald ") || !strings.Contains(text, runtime.Version()) || strings.Count(text, "\n") != 1 {
			t.Errorf("%q", text)
		}
	}
}

// TestUsage: every mistake is told in one line on stderr that names it.
func TestUsage(t *testing.T) {
	const url = "tcp://127.0.0.1:0"
	for _, c := range []struct {
		args string // split at spaces; _ stands for an empty one
		want string
	}{
		{"pubb", `herald: unknown command "pubb" (see herald help)`},
		{"help pubb", `herald help: unknown command "pubb" (see herald help --help)`},
		{"version x", `herald version: unexpected argument "x"`},
		{"sub", "herald sub: nowhere to go: give --bind or --connect (see herald sub --help)"},
		{"sub --foo", "herald sub: unknown flag --foo"},
		{"sub --count", "herald sub: no value for --count"},
		{"sub --count x", `herald sub: invalid value "x" for --count: want a whole number, 1 or more`},
		{"sub --count 0", `herald sub: invalid value "0" for --count`},
		{"sub --timeout 5", `herald sub: invalid value "5" for --timeout: want a duration such as 250ms or 5s`},
		{"sub --timeout -1s", `herald sub: invalid value "-1s" for --timeout: want a duration of at least`},
		{"sub --json=x", `herald sub: invalid value "x" for --json`},
		{"sub --overflow default", `herald sub: invalid value "default" for --overflow: want block, drop-newest, drop-oldest or disconnect`},
		{"sub --queue 0", `herald sub: invalid value "0" for --queue`},
		{"sub --framing xml", `herald sub: invalid value "xml" for --framing: want native or text`},
		{"sub --connect " + url + " x", `herald sub: unexpected argument "x"`},
		{"sub --connect foo", `herald sub: endpoint "foo": want a transport and an address`},
		{"sub --connect http://a:1,tcp://b:x", `herald sub: endpoint "http://a:1": unknown transport "http": want tcp, ipc or inproc; endpoint "tcp://b:x"`},
		{"sub --connect _", `herald sub: endpoint "": want a transport`},
		{"sub --bind tcp://x", `herald sub: endpoint "tcp://x": want tcp://host:port`},
		{"sub --connect " + url + " --match a..b", `herald sub: --match "a..b": topic: invalid`},
		{"sub --connect " + url + " --not a*", `herald sub: --not "a*": topic: invalid`},
		{"sub --connect " + url + " --failover", "herald sub: --failover: give --connect two endpoints or more"},
		{"sub --connect " + url + " --return-after 1s", "herald sub: --return-after is of use with --failover only"},
		{"pub", "herald pub: nothing to publish: give TOPIC and PAYLOAD, or --stdin"},
		{"pub a b", "herald pub: nowhere to go: give --bind or --connect"},
		{"pub --bind " + url + " a", "herald pub: PAYLOAD is missing"},
		{"pub a b c", `herald pub: unexpected argument "c"`},
		{"pub a b --bind " + url + " c", `herald pub: unexpected argument "c"`},
		{"pub --stdin a b", `herald pub: unexpected argument "a": with --stdin events come from stdin`},
		{"pub --bind " + url + " $bus.x b", `herald pub: topic: invalid`},
		{"pub --bind " + url + " _ b", `herald pub: topic: invalid`},
		{"pub --name a.b x y", `herald pub: invalid value "a.b" for --name: heartbeat: invalid`},
		{"pub --bind " + url + " --heartbeat 1us a b", "herald pub: --heartbeat 1µs: want 1ms to 24h0m0s, or 0 for none"},
		{"pub --heartbeat -1s a b", `herald pub: invalid value "-1s" for --heartbeat`},
		{"pub --rate 0 a b", `herald pub: invalid value "0" for --rate: want a number of events a second, above 0`},
		{"pub --rate NaN a b", `herald pub: invalid value "NaN" for --rate`},
		{"pub --wait -1 a b", `herald pub: invalid value "-1" for --wait`},
		{"pub --bind ftp://x --connect tcp://x a b", `herald pub: endpoint "ftp://x": unknown transport "ftp"`},
		{"pub --bind " + url + " --advertise _ a b", "herald pub: heartbeat: "},
	} {
		t.Run(c.args, func(t *testing.T) {
			args := strings.Fields(c.args)
			for i := range args {
				if args[i] == "_" {
					args[i] = ""
				}
			}
			p := does(t, exitUsage, args...)
			if got := p.err.String(); !strings.HasPrefix(got, c.want) || strings.Count(got, "\n") != 1 {
				t.Errorf("stderr:\n%swant one line:\n%s…", got, c.want)
			}
			if got := p.out.String(); got != "" {
				t.Errorf("stdout: %q", got)
			}
		})
	}
}

func TestFailureNamesEndpoint(t *testing.T) {
	url := start(t, nil, "pub", "--bind", "tcp://127.0.0.1:0", "--stay", "a", "b").bound()
	for _, args := range [][]string{{"pub", "--bind", url, "a", "b"}, {"sub", "--bind", url}} {
		got := does(t, exitFailure, args...).err.String()
		if !strings.HasPrefix(got, "herald "+args[0]+": bind "+url+": ") || strings.Count(got, "\n") != 1 {
			t.Errorf("%q", got)
		}
	}
}

func TestParse(t *testing.T) {
	cmd := &command{name: "x", args: []string{"A", "B"}}
	for _, c := range []struct {
		line []string
		args []string
		v    string
		err  string
	}{
		{[]string{"-v", "1", "a", "b"}, []string{"a", "b"}, "1", ""},
		{[]string{"a", "b", "--v=1"}, []string{"a", "b"}, "1", ""},
		{[]string{"--v", "1", "a", "-5"}, []string{"a", "-5"}, "1", ""},
		{[]string{"a", "--v", "--v", "1"}, []string{"a", "--v"}, "1", ""},
		{[]string{"--", "--v", "b"}, []string{"--v", "b"}, "", ""},
		{[]string{"a", ""}, []string{"a", ""}, "", ""},
		{nil, nil, "", ""},
		{[]string{"a"}, nil, "", "B is missing"},
		{[]string{"a", "b", "c", "--v", "1"}, nil, "", `unexpected argument "c"`},
		{[]string{"a", "b", "--w"}, nil, "", "unknown flag --w"},
	} {
		f := flag.NewFlagSet("x", flag.ContinueOnError)
		f.SetOutput(io.Discard)
		v := f.String("v", "", "")
		args, err := cmd.parse(f, c.line)
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%q: %v, want %s", c.line, err, c.err)
			}
			continue
		}
		if err != nil || fmt.Sprintf("%q", args) != fmt.Sprintf("%q", c.args) || *v != c.v {
			t.Errorf("%q: %q, %q, %v, want %q, %q", c.line, args, *v, err, c.args, c.v)
		}
	}
}

func TestList(t *testing.T) {
	var l list
	for _, s := range []string{"a", "b,c", "", `d\,e\f,`, `\`} {
		if err := l.Set(s); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := fmt.Sprintf("%q", l), `["a" "b" "c" "" "d,e\\f" "" "\\"]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

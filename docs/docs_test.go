// Package docs_test checks what the documents say.
//
// Every ```go block of README.md and of docs/*.md is code that was compiled and
// run, by one of two rules:
//
//   - One that begins with a package clause is a complete program. TestPrograms
//     builds those of README.md and lets them talk to each other.
//   - Any other is a run of whole lines, up to indentation, of a test file of this
//     folder, where an example with checked output executes it. Where the document
//     says tcp://host:port the test says inproc://host:port, and localhost where it
//     says *, so that no port of the machine is used.
//
// Links to files and headings of this repository must lead somewhere.
package docs_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// documents are all that this package looks after.
func documents(t *testing.T) (paths []string) {
	t.Helper()
	for _, pattern := range []string{"../README.md", "../CHANGELOG.md", "*.md", "decisions/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d documents, %v", pattern, len(found), err)
		}
		paths = append(paths, found...)
	}
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// block is a fenced ```go block.
type block struct {
	at   string // file:line of its first line
	text string
}

func (b block) program() bool { return strings.HasPrefix(b.text, "package ") }

func goBlocks(t *testing.T, path string) (all []block) {
	t.Helper()
	var b *block
	for i, line := range strings.SplitAfter(read(t, path), "\n") {
		switch {
		case b != nil && strings.HasPrefix(line, "```"):
			all, b = append(all, *b), nil
		case b != nil:
			b.text += line
		case strings.TrimSpace(line) == "```go":
			b = &block{at: fmt.Sprintf("%s:%d", path, i+2)}
		}
	}
	if b != nil {
		t.Errorf("%s: the block does not end", b.at)
	}
	return all
}

// inTests turns a snippet into what stands in a test file.
var inTests = strings.NewReplacer("tcp://*:", "inproc://localhost:", "tcp://", "inproc://")

func TestSnippets(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	sources := ""
	for _, f := range files {
		sources += "\n" + read(t, f)
	}
	n := 0
	for _, path := range documents(t) {
		for _, b := range goBlocks(t, path) {
			if b.program() {
				if path != "../README.md" {
					t.Errorf("%s: only programs of README.md are run", b.at)
				}
				continue
			}
			n++
			if !contains(sources, inTests.Replace(b.text)) {
				t.Errorf("%s: no file docs/*_test.go has these lines:\n%s", b.at, b.text)
			}
		}
	}
	if n == 0 {
		t.Error("there are no snippets at all")
	}
}

// contains reports whether the source has the lines of the snippet, indented by
// up to four tabs.
func contains(source, snippet string) bool {
	lines := strings.Split(strings.TrimRight(snippet, "\n"), "\n")
	for range 5 {
		if strings.Contains(source, "\n"+strings.Join(lines, "\n")+"\n") {
			return true
		}
		for i, line := range lines {
			if line != "" {
				lines[i] = "\t" + line
			}
		}
	}
	return false
}

// TestPrograms runs the subscriber of README.md, which never ends by itself, and
// its publisher.
func TestPrograms(t *testing.T) {
	dir, err := os.MkdirTemp("", "docs") // not t.TempDir: the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	endpoint := "ipc://" + filepath.ToSlash(dir) + "/bus"
	ours := strings.NewReplacer("tcp://*:5556", endpoint, "tcp://localhost:5556", endpoint)
	var binaries []string
	for _, b := range goBlocks(t, "../README.md") {
		if !b.program() {
			continue
		}
		name := filepath.Join(dir, fmt.Sprint("program", len(binaries)))
		if err := os.WriteFile(name+".go", []byte(ours.Replace(b.text)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"build", "-ldflags=-s -w", "-o", name + ".exe", name + ".go"}, {"vet", name + ".go"}} {
			if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
				t.Fatalf("%s: go %s: %v\n%s", b.at, args[0], err, out)
			}
		}
		binaries = append(binaries, name+".exe")
	}
	if len(binaries) != 2 {
		t.Fatalf("README.md has %d programs, want a publisher and a subscriber", len(binaries))
	}

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	pub, sub := exec.CommandContext(ctx, binaries[0]), exec.CommandContext(ctx, binaries[1])
	pub.Stderr, sub.Stderr = os.Stderr, os.Stderr
	out, err := sub.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []*exec.Cmd{sub, pub} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	got := ""
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.Contains(got, "goodbye"); {
		got += lines.Text() + "\n"
	}
	if err := pub.Wait(); err != nil {
		t.Errorf("the publisher: %v", err)
	}
	sub.Process.Kill()
	sub.Wait()
	// The publisher may be faster than its answer that it is ready.
	want := ours.Replace(`-- connected to tcp://localhost:5556
-- weather-eu at tcp://localhost:5556 is ready
weather.eu.paris: 20.5
weather.eu.paris: 21.0
weather.eu.paris: 21.5
-- weather-eu at tcp://localhost:5556 has said goodbye
`)
	if sorted(got) != sorted(want) {
		t.Errorf("the subscriber printed\n%swant\n%s", got, want)
	}
}

func sorted(text string) string {
	lines := strings.SplitAfter(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]*)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	dropped = regexp.MustCompile("[^a-z0-9 _-]")
)

func TestLinks(t *testing.T) {
	for _, path := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, path), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := path
			if file != "" {
				target = filepath.Join(filepath.Dir(path), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link to %s: %v", path, m[1], err)
			} else if anchor != "" && !anchors(read(t, target))[anchor] {
				t.Errorf("%s: link to %s: there is no such heading", path, m[1])
			}
		}
	}
}

// anchors are the names that GitHub gives to the headings of a document.
func anchors(text string) map[string]bool {
	all := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		name := dropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(m[1])), "")
		all[strings.ReplaceAll(name, " ", "-")] = true
	}
	return all
}

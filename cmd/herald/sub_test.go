package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/heraldbus/herald/bus"
)

// TestTCP: port 0, fan-in by a comma and by repetition, and a binding subscriber
// with connecting publishers.
func TestTCP(t *testing.T) {
	var urls []string
	for i := range 3 {
		pub := start(t, nil, "pub", "--bind", "tcp://127.0.0.1:0", "--wait", "1", "--stay", "t", fmt.Sprint(i))
		urls = append(urls, pub.bound())
	}
	sub := does(t, exitDone, "sub", "--connect", urls[0]+","+urls[1], "--connect", urls[2], "--count", "3")
	for i := range 3 {
		if !strings.Contains(sub.out.String(), fmt.Sprintf("t\t%d\n", i)) {
			t.Errorf("%q", sub.out.String())
		}
	}

	collector := start(t, nil, "sub", "--bind", "tcp://*:*", "--count", "2", "-v")
	url := collector.bound()
	if !strings.HasPrefix(url, "tcp://0.0.0.0:") {
		t.Errorf("bound %s", url)
	}
	url = strings.Replace(url, "0.0.0.0", "127.0.0.1", 1)
	for range 2 {
		does(t, exitDone, "pub", "--connect", url, "--wait", "1", "t", "x")
	}
	collector.exits(exitDone)
	if got := collector.out.String(); got != "t\tx\nt\tx\n" {
		t.Errorf("%q", got)
	}
	if log := collector.err.String(); !strings.Contains(log, "level=INFO msg=\"connected to ") {
		t.Errorf("no log with -v: %q", log)
	}
}

func TestSubFilters(t *testing.T) {
	for args, want := range map[string]string{
		"":                             "a a.b a.b.c ab b b.a x,y",
		"--prefix a":                   "a a.b a.b.c ab",
		"--prefix a.,b":                "a.b a.b.c b b.a",
		"--prefix a. --prefix b":       "a.b a.b.c b b.a",
		"--match a.*":                  "a.b",
		"--match a.>":                  "a.b a.b.c",
		"--match *":                    "a ab b x,y",
		"--match a":                    "a",
		"--match x\\,y":                "x,y",
		"--prefix b --match a.>":       "a.b a.b.c b b.a",
		"--not a.>,b":                  "a ab b.a x,y",
		"--prefix a --not *.b":         "a a.b.c ab",
		"--match > --not a --not ab,b": "a.b a.b.c b.a x,y",
	} {
		t.Run(args, func(t *testing.T) {
			inBubble(t, func(t *testing.T, url string) {
				sub := start(t, nil, append([]string{"sub", "--connect", url}, strings.Fields(args)...)...)
				in, w := io.Pipe()
				defer w.Close()
				start(t, in, "pub", "--bind", url, "--stdin")
				time.Sleep(time.Second)
				io.WriteString(w, strings.ReplaceAll("a a.b a.b.c ab b b.a x,y ", " ", " \n"))
				time.Sleep(time.Second)
				got := strings.Fields(sub.out.String())
				if strings.Join(got, " ") != want {
					t.Errorf("%q, want %q", got, want)
				}
			})
		})
	}
}

func TestSubTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		began := time.Now()
		sub := does(t, exitTimeout, "sub", "--connect", url, "--count", "2", "--timeout", "3s")
		if d := time.Since(began); d != 3*time.Second {
			t.Errorf("it took %v", d)
		}
		want := "herald sub: timeout: 0 of 2 events came within 3s: no answer yet from " + url
		if got := sub.err.String(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%q", got)
		}

		start(t, nil, "pub", "--bind", url, "--wait", "1", "--stay", "a", "b")
		sub = does(t, exitTimeout, "sub", "--connect", url, "--count", "2", "--timeout", "3s")
		if got := sub.err.String(); got != "herald sub: timeout: 1 of 2 events came within 3s\n" {
			t.Errorf("%q", got)
		}
		if got := sub.out.String(); got != "a\tb\n" {
			t.Errorf("%q", got)
		}
		// Without --count a timeout is just the end.
		sub = does(t, exitDone, "sub", "--connect", url, "--timeout", "3s")
		if got := sub.err.String(); got != "" {
			t.Errorf("%q", got)
		}
	})
}

func TestSubInterrupted(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		sub := start(t, nil, "sub", "--connect", url, "--count", "5")
		start(t, nil, "pub", "--bind", url, "--wait", "1", "--stay", "a", "b")
		time.Sleep(time.Second)
		sub.stop()
		sub.exits(exitDone)
		if got := sub.out.String(); got != "a\tb\n" {
			t.Errorf("%q", got)
		}
	})
}

// kinds are the statuses in an output of JSON lines, without what repeats.
func kinds(t *testing.T, text string) string {
	t.Helper()
	var all []string
	for _, o := range objects(t, text) {
		if kind, ok := o["status"].(string); ok {
			if publisher, ok := o["publisher"].(string); ok {
				kind += ":" + publisher
			}
			all = append(all, kind)
		}
	}
	return strings.Join(all, " ")
}

func TestSubStatus(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		asJSON := start(t, nil, "sub", "--connect", url, "--status", "--json")
		asText := start(t, nil, "sub", "--connect", url, "--status")
		without := start(t, nil, "sub", "--connect", url, "--json")
		for range 2 {
			pub := start(t, nil, "pub", "--bind", url, "--wait", "3", "--name", "eu", "--stay", "a", "b")
			time.Sleep(10 * time.Second)
			pub.stop()
			pub.exits(exitDone)
		}
		time.Sleep(time.Second)
		want := "connected ready:eu gone:eu disconnected connected restarted:eu ready:eu gone:eu disconnected"
		if got := kinds(t, asJSON.out.String()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		var words []string
		for line := range strings.Lines(asText.err.String()) {
			words = append(words, strings.TrimSuffix(strings.Fields(line)[0], ":"))
		}
		want = "connected ready gone disconnected connected restarted ready gone disconnected"
		if got := strings.Join(words, " "); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got := asText.out.String(); got != "a\tb\na\tb\n" {
			t.Errorf("%q", got)
		}
		if got := without.out.String() + without.err.String(); strings.Contains(got, "status") || strings.Contains(got, "gone") {
			t.Errorf("%q", got)
		}
	})
}

func TestSubFailover(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		a, b := url+"-a", url+"-b"
		pubA := start(t, nil, "pub", "--bind", a, "--stay", "x", "y")
		start(t, nil, "pub", "--bind", b, "--stay", "x", "y")
		synctest.Wait()
		sub := start(t, nil, "sub", "--connect", a+","+b, "--failover", "--return-after", "5s", "--status", "--json")
		time.Sleep(10 * time.Second)
		pubA.stop()
		pubA.exits(exitDone)
		time.Sleep(10 * time.Second)
		start(t, nil, "pub", "--bind", a, "--stay", "x", "y")
		time.Sleep(20 * time.Second)
		var moves []string
		for _, o := range objects(t, sub.out.String()) {
			if o["status"] == "failover" {
				moves = append(moves, strings.TrimPrefix(o["from"].(string), url)+strings.TrimPrefix(o["to"].(string), url))
			}
		}
		if got := fmt.Sprint(moves); got != "[-a-b -b-a]" {
			t.Errorf("%s in\n%s", got, sub.out.String())
		}
	})
}

// TestSubDrops: what it can't print is counted, where it is told to drop.
func TestSubDrops(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		r, w := io.Pipe()
		var stderr buffer
		code := make(chan int, 1)
		go func() {
			code <- run(t.Context(), []string{"sub", "--connect", url, "--queue", "1", "--overflow", "drop-newest", "--timeout", "1m"}, nil, w, &stderr)
			w.Close()
		}()
		lines := strings.Repeat("a "+strings.Repeat("x", 1000)+"\n", 10_000)
		start(t, strings.NewReader(lines), "pub", "--bind", url, "--stdin", "--wait", "1").exits(exitDone)
		time.Sleep(2 * time.Minute)
		text, err := io.ReadAll(r)
		if err != nil || <-code != exitDone {
			t.Fatal(err)
		}
		var dropped int
		if _, err := fmt.Sscanf(stderr.String(), "herald sub: warning: %d events dropped here", &dropped); err != nil {
			t.Fatalf("%q: %v", stderr.String(), err)
		}
		if n := strings.Count(string(text), "\n"); n == 0 || dropped == 0 || n+dropped != 10_000 {
			t.Errorf("%d events printed, %d dropped", n, dropped)
		}
	})
}

// foreign is a ZeroMQ publisher that is not Herald's, spelled out byte by byte
// (ZMTP 3.0, RFC 23): it takes one peer, and calls serve when that has subscribed.
func foreign(t *testing.T, serve func(net.Conn)) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if shake(c, "PUB") == nil {
				// One subscription: flags, length, 1 and the prefix.
				head := make([]byte, 2)
				if _, err := io.ReadFull(c, head); err == nil {
					io.CopyN(io.Discard, c, int64(head[1]))
					serve(c)
				}
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return "tcp://" + l.Addr().String()
}

// shake does the handshake as a peer of the given type.
func shake(c net.Conn, socket string) error {
	greeting := make([]byte, 64)
	copy(greeting, "\xff\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x03\x00NULL")
	body := "\x05READY\x0bSocket-Type\x00\x00\x00" + string(byte(len(socket))) + socket
	if _, err := c.Write(append(greeting, "\x04"+string(byte(len(body)))+body...)); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, greeting); err != nil {
		return err
	}
	head := make([]byte, 2)
	if _, err := io.ReadFull(c, head); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, c, int64(head[1]))
	return err
}

func TestSubForeign(t *testing.T) {
	url := foreign(t, func(c net.Conn) {
		io.WriteString(c, "\x00\x12weather_data 12 45"+"\x01\x01t\x01\x01p\x00\x01x"+"\x00\x01a")
		io.Copy(io.Discard, c)
	})
	sub := does(t, exitDone, "sub", "--connect", url, "--framing", "text", "--prefix", "", "--count", "3")
	if got := sub.out.String(); got != "weather_data\t12 45\nt\tp\na\t\n" {
		t.Errorf("%q", got)
	}
	sub = does(t, exitDone, "sub", "--connect", url, "--framing", "native", "--count", "3", "--json")
	end := `,"endpoint":"` + url + "\"}\n"
	if got, want := sub.out.String(), `{"topic":"weather_data 12 45","payload":""`+end+
		`{"topic":"t","payload":"p","extra_base64":["eA=="]`+end+`{"topic":"a","payload":""`+end; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSubStaleAfter(t *testing.T) {
	url := foreign(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	sub := start(t, nil, "sub", "--connect", url, "--stale-after", "50ms", "--status", "--json")
	line := sub.await(&sub.out, `{"status":"stale"`)
	o := objects(t, `{"status":"stale"`+line)[0]
	if ms, ok := o["silence_ms"].(float64); !ok || ms < 50 || o["endpoint"] != url {
		t.Errorf("%v", o)
	}
	sub.stop()
	sub.exits(exitDone)

	// The limit holds for Herald's publishers too.
	inBubble(t, func(t *testing.T, url string) {
		start(t, nil, "pub", "--bind", url, "--heartbeat", "5s", "--stay", "a", "b")
		sub := start(t, nil, "sub", "--connect", url, "--stale-after", "4s", "--status", "--json")
		time.Sleep(4500 * time.Millisecond)
		if got := kinds(t, sub.out.String()); !strings.HasPrefix(got, "connected ready:") || !strings.Contains(got, " stale:") {
			t.Errorf("%s", got)
		}
	})
}

// TestSubConfig is for flags that cannot be seen from outside.
func TestSubConfig(t *testing.T) {
	f := flag.NewFlagSet("sub", flag.ContinueOnError)
	o := newSub(f)
	if err := f.Parse(strings.Fields("--bind tcp://*:0 --queue 7 --overflow disconnect --framing text")); err != nil {
		t.Fatal(err)
	}
	cfg, err := o.config()
	if err != nil || cfg.Queue != (bus.Queue{Messages: 7, Overflow: bus.Disconnect}) || cfg.BindFraming == nil {
		t.Errorf("%+v, %v", cfg, err)
	}
}

// TestLatency: a line is there at once, however slowly they come.
func TestLatency(t *testing.T) {
	inBubble(t, func(t *testing.T, url string) {
		in, w := io.Pipe()
		defer w.Close()
		sub := start(t, nil, "sub", "--connect", url)
		start(t, in, "pub", "--bind", url, "--stdin", "--wait", "1")
		io.WriteString(w, "a 0\n")
		time.Sleep(time.Second)
		for range 10 {
			before := len(sub.out.String())
			io.WriteString(w, "a 1\n")
			synctest.Wait()
			time.Sleep(outputPause)
			synctest.Wait()
			if after := len(sub.out.String()); after != before+4 {
				t.Fatalf("%d bytes came", after-before)
			}
		}
	})
}

package bus_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

// The tests of this file send a publisher and a subscriber in a process of their own
// everything that a rogue can think of, while honest peers of both go on. So the
// process may be killed by what it gets, and its memory is its own.

const victimEnv = "HERALD_HOSTILE_VICTIM"

// account is what the victim has to say in the end.
type account struct {
	Published, Received int    // events of the victim's publisher to its honest subscriber
	Sent, Collected     int    // events of an honest publisher to the victim's subscriber
	Complaint           string // what an honest peer has missed
	Publisher           bus.PublisherStats
	Subscriber          bus.SubscriberStats
	Heap                uint64 // the most bytes of it in use
}

// TestHostileVictim is that process, and nothing when it is not.
func TestHostileVictim(t *testing.T) {
	if os.Getenv(victimEnv) == "" {
		t.Skip("it is started by the other tests")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	publisher := func(cfg bus.PublisherConfig) *bus.Publisher {
		p, err := bus.NewPublisher(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	subscriber := func(cfg bus.SubscriberConfig) *bus.Subscriber {
		s, err := bus.NewSubscriber(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	reconnect := bus.Reconnect{Min: time.Millisecond, Max: 5 * time.Millisecond}
	pub := publisher(bus.PublisherConfig{
		Name: "victim", Bind: []string{"tcp://127.0.0.1:0"},
		Limits: bus.Limits{Subscriptions: scaled(10_000), SubscriptionBytes: scaled(4 << 20)},
	})
	defer pub.Close()
	honestSub := subscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(pub.Endpoints()[0])}})
	defer honestSub.Close()
	cfg := bus.SubscriberConfig{Bind: []string{"tcp://127.0.0.1:0"}, Reconnect: reconnect}
	if dial := os.Getenv(victimEnv); dial != "bind" {
		cfg.Sources = []bus.Source{bus.From(dial)}
	}
	sub := subscriber(cfg)
	defer sub.Close()
	honestPub := publisher(bus.PublisherConfig{Name: "honest", Connect: sub.Endpoints()})
	defer honestPub.Close()
	if err := errors.Join(honestPub.WaitSubscribers(ctx, "n", 1), honestSub.Ready(ctx)); err != nil {
		t.Fatal(err)
	}
	fmt.Println(pub.Endpoints()[0], sub.Endpoints()[0])

	var all account
	var complaints sync.Map
	count := func(s *bus.Subscriber, from bus.Incarnation, n *int) {
		for ev, err := range s.Events(ctx) {
			switch ev := ev.(type) {
			case *bus.Message:
				if ev.Incarnation != from {
					continue
				}
				if want := strconv.Itoa(*n); string(ev.Payload) != want {
					complaints.Store(fmt.Sprintf("got %q where %s is due", ev.Payload, want), true)
				}
				*n++
			case bus.Status:
				if o, _ := ev.About(); o.Incarnation == from && ev.Kind() != "ready" && ev.Kind() != "gone" {
					complaints.Store(ev.String(), true)
				}
			}
			if err != nil {
				complaints.Store(err.Error(), true)
			}
		}
	}
	var loops, sends sync.WaitGroup
	loops.Go(func() { count(honestSub, pub.Incarnation(), &all.Received) })
	loops.Go(func() { count(sub, honestPub.Incarnation(), &all.Collected) })
	stop := make(chan struct{})
	publish := func(p *bus.Publisher, n *int) {
		for tick := time.NewTicker(time.Millisecond); ; {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if err := p.Publish(ctx, "n", []byte(strconv.Itoa(*n))); err != nil {
				complaints.Store(err.Error(), true)
			}
			*n++
		}
	}
	sends.Go(func() { publish(pub, &all.Published) })
	sends.Go(func() { publish(honestPub, &all.Sent) })
	sends.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			all.Heap = max(all.Heap, m.HeapInuse)
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	io.Copy(io.Discard, os.Stdin) // until the test has seen enough
	close(stop)
	sends.Wait()
	all.Publisher, all.Subscriber = pub.Stats(), sub.Stats()
	all.Publisher.Peers = nil
	drain, cancel2 := context.WithTimeout(ctx, patience)
	defer cancel2()
	// Everything is out when Drain returns, and in when the other side has seen the end.
	if err := errors.Join(pub.Drain(drain), honestPub.Drain(drain), honestSub.Drain(drain), sub.Drain(drain)); err != nil {
		t.Error(err)
	}
	loops.Wait()
	complaints.Range(func(c, _ any) bool {
		all.Complaint += c.(string) + "; "
		return len(all.Complaint) < 1000
	})
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		t.Fatal(err)
	}
}

// victim is the other process as this one sees it.
type victim struct {
	*testing.T
	cmd      *exec.Cmd
	stdin    io.Closer
	out      *bufio.Scanner
	log      bytes.Buffer
	pub, sub string // addresses
}

// startVictim starts it. Its subscriber dials the endpoint, or binds only.
func startVictim(t *testing.T, dial string) *victim {
	t.Helper()
	v := &victim{T: t, cmd: exec.Command(os.Args[0], "-test.run=^TestHostileVictim$")}
	v.cmd.Env = append(os.Environ(), victimEnv+"="+dial)
	v.cmd.Stderr = &v.log
	stdin, err := v.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	v.stdin, v.out = stdin, bufio.NewScanner(stdout)
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if v.cmd.ProcessState == nil {
			v.cmd.Process.Kill()
			v.cmd.Wait()
		}
	})
	if !v.out.Scan() {
		t.Fatalf("the victim has not come up: %v\n%s", v.cmd.Wait(), v.log.Bytes())
	}
	pub, sub, _ := strings.Cut(strings.ReplaceAll(v.out.Text(), "tcp://", ""), " ")
	v.pub, v.sub = pub, sub
	return v
}

// end asks the victim for its account, and checks what must hold whatever was done
// to it. 0 is no bound for its memory.
func (v *victim) end(memory int) account {
	v.Helper()
	resident := v.resident()
	v.stdin.Close()
	var all account
	var rest []string
	for v.out.Scan() {
		if json.Unmarshal(v.out.Bytes(), &all) != nil {
			rest = append(rest, v.out.Text())
		}
	}
	if err := v.cmd.Wait(); err != nil {
		v.Fatalf("the victim: %v\n%s\n%s", err, strings.Join(rest, "\n"), v.log.Bytes())
	}
	if all.Complaint != "" || all.Received != all.Published || all.Collected != all.Sent {
		v.Errorf("honest peers got %d of %d, and %d of %d: %s", all.Received, all.Published, all.Collected, all.Sent, all.Complaint)
	}
	v.Logf("%d and %d honest events; at most %d MiB resident, %d MiB of heap", all.Published, all.Sent, resident>>20, all.Heap>>20)
	if memory > 0 && !raceEnabled && (resident > memory || int(all.Heap) > memory) {
		v.Errorf("the victim had up to %d bytes resident and %d bytes of heap in use, want at most %d", resident, all.Heap, memory)
	}
	return all
}

// resident is the most memory that the victim has had; 0 where the system does not tell.
func (v *victim) resident() int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.cmd.Process.Pid))
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.Atoi(fields[0])
	return kib << 10
}

// call connects to one of the victim's addresses.
func (v *victim) call(address string) *rogue {
	v.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		v.Fatal(err)
	}
	r := &rogue{c.(*net.TCPConn)}
	r.SetDeadline(time.Now().Add(patience))
	return r
}

// rogue is a connection to the victim.
type rogue struct{ *net.TCPConn }

// leave ends the connection without leaving a trace in this system's tables.
func (r *rogue) leave() {
	r.SetLinger(0)
	r.Close()
}

// shut waits until the victim has closed the connection. That a reset cuts off what
// is still being sent is as good.
func (r *rogue) shut() error {
	_, err := io.Copy(io.Discard, r)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return errors.New("the victim has not closed the connection")
	}
	return nil
}

// alive asks the victim for a PONG, and passes over all that comes before it. It
// asks again and again: a victim that was asked too much drops questions.
func (r *rogue) alive() error {
	const context = "still alive?"
	in := bufio.NewReader(r)
	io.CopyN(io.Discard, in, 64)
	done := make(chan error, 1)
	go func() {
		for {
			_, body, err := readFrame(in)
			if err != nil || string(body) == "\x04PONG"+context {
				done <- err
				return
			}
		}
	}()
	for {
		if _, err := r.Write(command("PING", "\x00\x00"+context)); err != nil {
			return err
		}
		select {
		case err := <-done:
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func readFrame(r *bufio.Reader) (flags byte, body []byte, err error) {
	flags, err = r.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	var size uint64
	if flags&2 != 0 {
		err = binary.Read(r, binary.BigEndian, &size)
	} else {
		var short byte
		short, err = r.ReadByte()
		size = uint64(short)
	}
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, size)
	_, err = io.ReadFull(r, body)
	return flags, body, err
}

// 200 connections that say nothing do not delay one that does, on either side.
func TestSilentConnections(t *testing.T) {
	v := startVictim(t, "bind")
	for _, address := range []string{v.pub, v.sub} {
		for range 200 {
			defer v.call(address).leave()
		}
	}
	for _, side := range sides(v) {
		began := time.Now()
		r := v.call(side.address)
		r.Write(side.hello)
		if err := r.alive(); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("an honest peer was served after %v", d)
		}
		r.leave()
	}
	v.end(48 << 20)
}

// side is a role of the victim's, and how to reach it.
type side struct {
	name    string
	address string
	hello   []byte // the handshake of a peer that it takes
	broken  []script
	floods  []script
}

func sides(v *victim) []side {
	return []side{
		{"publisher", v.pub, handshake("SUB"), append(handshakes("SUB"), greeted(frames)...), subscriberScripts},
		{"subscriber", v.sub, handshake("PUB"), append(handshakes("PUB"), greeted(frames)...), publisherScripts},
	}
}

// Every kind of malformed handshake and frame, many times over, from several rogues
// at once: each connection is closed, or goes on where nothing is wrong with it; what
// was closed is counted; little memory is used; and honest peers miss nothing.
func TestMalformed(t *testing.T) {
	v := startVictim(t, "bind")
	failed, breaches := map[string]int{}, map[string]int{}
	for _, side := range sides(v) {
		if len(side.broken) < 55 {
			t.Errorf("%d kinds, want 55 at least", len(side.broken))
		}
		played := v.play(side, side.broken, scaled(50))
		for i, s := range side.broken {
			switch {
			case s.end == kept:
			case !s.greets:
				failed[side.name] += played[i]
			case s.end == shut && s.name != "ERROR":
				breaches[side.name] += played[i]
			}
		}
	}
	all := v.end(48 << 20)
	if p := all.Publisher; p.FailedConnections != uint64(failed["publisher"]) || p.Breaches != uint64(breaches["publisher"]) {
		t.Errorf("the publisher has counted %d failed handshakes and %d breaches, want %d and %d",
			p.FailedConnections, p.Breaches, failed["publisher"], breaches["publisher"])
	}
	if s := all.Subscriber; s.FailedConnects != uint64(failed["subscriber"]) || s.Breaches != uint64(breaches["subscriber"]) {
		t.Errorf("the subscriber has counted %d failed handshakes and %d breaches, want %d and %d",
			s.FailedConnects, s.Breaches, failed["subscriber"], breaches["subscriber"])
	}
}

// What is well-formed and yet too much, or of no sense. It is bounded by limits that
// are wide, so the memory that it can take is more.
func TestFloods(t *testing.T) {
	v := startVictim(t, "bind")
	for _, side := range sides(v) {
		v.play(side, side.floods, scaled(10))
	}
	all := v.end(160 << 20)
	if p := all.Publisher; p.RefusedSubscriptions == 0 || p.RefusedReplays == 0 {
		t.Errorf("what the publisher refused is not counted: %+v", p)
	}
	if s := all.Subscriber; s.Malformed == 0 || s.Duplicates == 0 {
		t.Errorf("what the subscriber refused is not counted: %+v", s)
	}
}

// play plays scripts to a side, each a number of times unless it is heavy, and
// returns how often it played which.
func (v *victim) play(side side, scripts []script, rounds int) []int {
	work := make(chan script)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for s := range work {
				r := v.call(side.address)
				if err := r.play(s, side.hello); err != nil {
					v.Errorf("to the %s: %s: %v", side.name, s.name, err)
				}
			}
		})
	}
	played := make([]int, len(scripts))
	for i, s := range scripts {
		for range rounds {
			work <- s
			if played[i]++; s.heavy {
				break
			}
		}
	}
	close(work)
	wg.Wait()
	return played
}

// play plays a script, looks whether it ends as it should, and leaves.
func (r *rogue) play(s script, hello []byte) error {
	defer r.leave()
	// A write fails where the victim has seen enough, which is no fault of its.
	if s.greets {
		r.Write(hello)
	}
	for range max(s.times, 1) {
		if _, err := r.Write(s.bytes()); err != nil {
			break
		}
	}
	switch s.end {
	case kept:
		return r.alive()
	case cut:
		r.CloseWrite()
	}
	return r.shut()
}

// A publisher that our subscriber dials, and dials again, whatever it gets from it.
func TestHostileEndpoint(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	v := startVictim(t, "tcp://"+l.Addr().String())
	side := sides(v)[1]
	for _, s := range append(side.broken, side.floods...) {
		c, err := l.Accept()
		if err != nil {
			t.Fatalf("the victim has not come back before %q: %v", s.name, err)
		}
		r := &rogue{c.(*net.TCPConn)}
		r.SetDeadline(time.Now().Add(patience))
		if err := r.play(s, side.hello); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	v.end(160 << 20)
}

// Lengths that are announced and never come, on many connections at once.
func TestAnnouncedLengths(t *testing.T) {
	v := startVictim(t, "bind")
	var rogues []*rogue
	for _, side := range sides(v) {
		most := uint64(64 << 10)
		if side.name == "subscriber" {
			most = 64 << 20
		}
		for range 100 {
			r := v.call(side.address)
			r.Write(side.hello)
			io.CopyN(io.Discard, r, 64)
			r.Write(long(0, most))
			r.Write(make([]byte, 1000))
			rogues = append(rogues, r)
		}
	}
	for _, side := range sides(v) {
		r := v.call(side.address)
		r.Write(side.hello)
		if err := r.alive(); err != nil {
			t.Error(err)
		}
		rogues = append(rogues, r)
	}
	for _, r := range rogues {
		r.leave()
	}
	v.end(48 << 20)
}

// A publisher of nothing but gaps, to a subscriber whose events nobody takes: what it
// says is missing takes no memory, and is told as what it is, in its place.
func TestGapFlood(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := bus.NewSubscriber(bus.SubscriberConfig{
		Sources: []bus.Source{bus.From("tcp://" + l.Addr().String())},
		Filter:  topic.Pattern("*.wanted"), // for which everything has to be subscribed to
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	r := &rogue{c.(*net.TCPConn)}
	defer r.leave()
	r.SetDeadline(time.Now().Add(patience))
	r.Write(handshake("PUB"))
	in := bufio.NewReader(r)
	io.CopyN(io.Discard, in, 64)
	for {
		_, body, err := readFrame(in)
		if err != nil {
			t.Fatal(err)
		}
		if question, ok := strings.CutPrefix(string(body), "\x01$bus.hello."); ok {
			r.Write([]byte(beat("$bus.hello."+question, goodBeat, "rogue", 7, 0, false)))
			break
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	wanted, each := scaled(200), 1000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapInuse
	}
	before := heap()
	seq := uint64(0)
	for range wanted {
		var run strings.Builder
		for range each - 1 {
			seq += 2 // the one between is missing
			run.WriteString(event("flood", 7, seq, 0))
		}
		seq += 2
		run.WriteString(event("a.wanted", 7, seq, 0))
		r.Write([]byte(run.String()))
	}
	for s.Stats().Missed < uint64(wanted*each) {
		if ctx.Err() != nil {
			t.Fatalf("stats after %v: %+v", patience, s.Stats())
		}
		runtime.Gosched()
	}
	if grown := int(heap()) - int(before); grown > 8<<20 {
		t.Errorf("%d bytes of heap for %d gaps", grown, wanted*each)
	}
	messages, missed := 0, uint64(0)
	for ev, err := range s.Events(ctx) {
		switch ev := ev.(type) {
		case *bus.Gap:
			missed += ev.Missed
		case *bus.Message:
			if messages++; missed != uint64(messages*each) {
				t.Fatalf("%d events are missing before message %d, want %d", missed, messages, messages*each)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if messages == wanted {
			break
		}
	}
}

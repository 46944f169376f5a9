package bus_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/topic"
)

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
	if p := all.Publisher; !counted(p.FailedConnections, failed["publisher"]) || !counted(p.Breaches, breaches["publisher"]) {
		t.Errorf("the publisher has counted %d failed handshakes and %d breaches, want %d and %d",
			p.FailedConnections, p.Breaches, failed["publisher"], breaches["publisher"])
	}
	if s := all.Subscriber; !counted(s.FailedConnects, failed["subscriber"]) || !counted(s.Breaches, breaches["subscriber"]) {
		t.Errorf("the subscriber has counted %d failed handshakes and %d breaches, want %d and %d",
			s.FailedConnects, s.Breaches, failed["subscriber"], breaches["subscriber"])
	}
}

// counted reports whether so many were counted as there were, but for one in twenty: a
// rogue that resets its connection takes back what has not been read yet.
func counted(got uint64, want int) bool {
	return got <= uint64(want) && got+uint64(want)/20+1 >= uint64(want)
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

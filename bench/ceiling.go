package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
)

// The ceiling: what a Go program can move over a socket if it does nothing but
// frame each event into a 64 KiB buffer, write full buffers, and walk the
// lengths on the other side. No subscriptions, no routing, nobody who looks at
// an event. For several subscribers the same buffer is written to each.
var (
	ceiling2 = &System{
		Name: "ceiling", Kind: kindBound, Frames: 2,
		About:    "Go: events encoded as 2 ZMTP frames into 64 KiB buffers, a reader that only walks the lengths",
		Lossless: "TCP; counts compared, sequence not looked at",
		Driver:   ceilingDriver{}, Cannot: ceilingCannot,
	}
	ceiling3 = &System{
		Name: "ceiling-3", Kind: kindBound, Frames: 3,
		About:    "the same with a third frame of 36 bytes",
		Lossless: "TCP; counts compared, sequence not looked at",
		Driver:   ceilingDriver{}, Cannot: ceilingCannot,
	}
)

func ceilingCannot(c *Case) string {
	switch {
	case c.Measure != measureFlow || c.Topics > 1 || c.Cold > 0:
		return "the ceiling has no topics and no single events"
	case c.Pubs > 1:
		return "the ceiling's reader reads one stream"
	case c.Transport == "inproc":
		return "the ceiling is that of a socket; go-channel is the one in process"
	}
	return ""
}

// ceilingBuffer is the size of the buffers on both sides.
const ceilingBuffer = 64 << 10

// Flags of a ZMTP 3 frame (RFC 23).
const (
	frameMore = 1
	frameLong = 2
)

type ceilingDriver struct{}

func (ceilingDriver) Publisher(spec *Spec, i int) (Publisher, error) {
	network, address := "tcp", "127.0.0.1:0"
	if spec.Transport == "ipc" {
		network, address = "unix", filepath.Join(spec.Dir, fmt.Sprintf("ceiling-%d", i))
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	return &ceilingPublisher{listener: listener, topic: spec.Topic(0), frames: spec.Frames, subs: spec.Subs}, nil
}

type ceilingPublisher struct {
	listener     net.Listener
	topic        string
	frames, subs int
}

func (p *ceilingPublisher) Endpoint() string { return p.listener.Addr().String() }

func (p *ceilingPublisher) Run(src *Source) error {
	conns := make([]net.Conn, p.subs)
	for i := range conns {
		conn, err := p.listener.Accept()
		if err != nil {
			return err
		}
		conns[i] = conn
	}
	write := func(buf []byte) error {
		for _, conn := range conns {
			if _, err := conn.Write(buf); err != nil {
				return err
			}
		}
		return nil
	}
	var meta [36]byte
	most := len(p.topic) + len(src.Payload) + len(meta) + 3*9
	buf := make([]byte, 0, ceilingBuffer)
	for src.Next() {
		if len(buf)+most > cap(buf) {
			if err := write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
		buf = append(buf, frameMore, byte(len(p.topic)))
		buf = append(buf, p.topic...)
		var more byte
		if p.frames == 3 {
			more = frameMore
		}
		if len(src.Payload) < 256 {
			buf = append(buf, more, byte(len(src.Payload)))
		} else {
			buf = append(buf, more|frameLong)
			buf = binary.BigEndian.AppendUint64(buf, uint64(len(src.Payload)))
		}
		buf = append(buf, src.Payload...)
		if p.frames == 3 {
			buf = append(buf, 0, byte(len(meta)))
			buf = append(buf, meta[:]...)
		}
	}
	return write(buf)
}

// Publish does nothing: a subscriber is there once it has connected, and the
// last event needs no mark, since lengths are all that is read.
func (p *ceilingPublisher) Publish(string, []byte) error { return nil }

func (p *ceilingPublisher) Close() error { return p.listener.Close() }

func (ceilingDriver) Subscribe(spec *Spec, endpoints []string, sink *Sink, fail func(error)) (io.Closer, error) {
	network := "tcp"
	if spec.Transport == "ipc" {
		network = "unix"
	}
	conn, err := net.Dial(network, endpoints[0])
	if err != nil {
		return nil, err
	}
	sink.Connected(spec.Pubs)
	go func() {
		buf := make([]byte, ceilingBuffer)
		have := 0
		for {
			n, err := conn.Read(buf[have:])
			if err != nil {
				fail(err)
				return
			}
			have += n
			events, walked := walk(buf[:have])
			sink.Add(events)
			have = copy(buf, buf[walked:have])
		}
	}()
	return conn, nil
}

// walk counts the whole messages at the beginning of buf, and their bytes.
func walk(buf []byte) (events, walked int) {
	for at := 0; ; {
		if len(buf)-at < 2 {
			return events, walked
		}
		flags, size := buf[at], int(buf[at+1])
		at += 2
		if flags&frameLong != 0 {
			if len(buf)-at < 7 {
				return events, walked
			}
			size = int(binary.BigEndian.Uint64(buf[at-1:]))
			at += 7
		}
		if at += size; at > len(buf) {
			return events, walked
		}
		if flags&frameMore == 0 {
			events++
			walked = at
		}
	}
}

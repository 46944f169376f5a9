package main

import (
	"io"
	"net"
)

// Plain TCP sockets in Go: one write and one read an event, no frames, no
// topics. A round trip cannot be shorter than this by the net package.
var goTCP = &System{
	Name: "go-tcp", Kind: kindBound, Frames: 1,
	About:    "net.Conn: one Write an event, io.ReadFull of the known size",
	Lossless: "TCP",
	Driver:   socketDriver{},
	Cannot: func(c *Case) string {
		if c.Measure != measureTrip {
			return "plain sockets are there for the round trip"
		}
		return ""
	},
}

type socketDriver struct{}

func (socketDriver) Publisher(spec *Spec, _ int) (Publisher, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &socketPublisher{listener: listener, accepted: make(chan net.Conn)}
	go func() {
		if conn, err := listener.Accept(); err == nil {
			p.accepted <- conn
		}
	}()
	return p, nil
}

type socketPublisher struct {
	listener net.Listener
	accepted chan net.Conn
	conn     net.Conn // nil until the subscriber is there
}

func (p *socketPublisher) Endpoint() string { return p.listener.Addr().String() }

func (p *socketPublisher) Run(src *Source) error {
	for src.Next() {
		if _, err := p.conn.Write(src.Payload); err != nil {
			return err
		}
	}
	return nil
}

// Publish drops what comes before the subscriber, like any PUB.
func (p *socketPublisher) Publish(_ string, payload []byte) error {
	if p.conn == nil {
		select {
		case p.conn = <-p.accepted:
		default:
			return nil
		}
	}
	_, err := p.conn.Write(payload)
	return err
}

func (p *socketPublisher) Close() error { return p.listener.Close() }

func (socketDriver) Subscribe(spec *Spec, endpoints []string, sink *Sink, fail func(error)) (io.Closer, error) {
	conn, err := net.Dial("tcp", endpoints[0])
	if err != nil {
		return nil, err
	}
	go func() {
		payload := make([]byte, spec.Size)
		for {
			if _, err := io.ReadFull(conn, payload); err != nil {
				fail(err)
				return
			}
			sink.Event(payload)
		}
	}()
	return conn, nil
}

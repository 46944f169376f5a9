package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// NATS core: an embedded nats-server in a process of its own, nats.go on both
// sides.
var natsCore = &System{
	Name: "nats", Kind: kindPeer, Frames: 2, Window: 16384, Server: true,
	About: "NATS core: nats-server " + moduleVersion("github.com/nats-io/nats-server/v2") +
		" embedded in a third process, nats.go " + moduleVersion("github.com/nats-io/nats.go") +
		", Publish and asynchronous Subscribe with a connection each; inproc: all in one process, over its in-process connections",
	Lossless: "harness window; clients' pending limits off",
	Driver:   natsDriver{},
	Cannot: func(c *Case) string {
		if c.Transport == "ipc" {
			return "nats-server does not listen on Unix sockets"
		}
		return ""
	},
}

type natsDriver struct{}

// startNATS starts a server in this process.
func startNATS(options server.Options) (*server.Server, error) {
	options.NoLog, options.NoSigs = true, true
	s, err := server.NewServer(&options)
	if err != nil {
		return nil, fmt.Errorf("new nats-server: %w", err)
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return nil, fmt.Errorf("nats-server does not accept connections after 10 s")
	}
	return s, nil
}

func (natsDriver) Serve(*Spec) (string, error) {
	s, err := startNATS(server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT})
	if err != nil {
		return "", err
	}
	return s.ClientURL(), nil
}

// inprocNATS is the server of an inproc case.
var inprocNATS = sync.OnceValues(func() (*server.Server, error) {
	return startNATS(server.Options{DontListen: true})
})

// connectNATS connects to the endpoint, or within the process.
func connectNATS(spec *Spec, endpoint string) (*nats.Conn, error) {
	if spec.Transport != "inproc" {
		return nats.Connect(endpoint)
	}
	s, err := inprocNATS()
	if err != nil {
		return nil, err
	}
	return nats.Connect("", nats.InProcessServer(s))
}

func (natsDriver) Publisher(spec *Spec, _ int) (Publisher, error) {
	conn, err := connectNATS(spec, spec.Server)
	if err != nil {
		return nil, err
	}
	return &natsPublisher{conn: conn, endpoint: spec.Server, topics: spec.TopicNames()}, nil
}

type natsPublisher struct {
	conn     *nats.Conn
	endpoint string
	topics   []string
}

func (p *natsPublisher) Endpoint() string { return p.endpoint }

func (p *natsPublisher) Run(src *Source) error {
	for src.Next() {
		if err := p.conn.Publish(p.topics[src.Topic], src.Payload); err != nil {
			return err
		}
	}
	return nil
}

// Publish needs no flush: the connection's own flusher wakes at once.
func (p *natsPublisher) Publish(topic string, payload []byte) error {
	return p.conn.Publish(topic, payload)
}

func (p *natsPublisher) Close() error {
	p.conn.Close()
	return nil
}

func (natsDriver) Subscribe(spec *Spec, endpoints []string, sink *Sink, fail func(error)) (io.Closer, error) {
	conn, err := connectNATS(spec, endpoints[0])
	if err != nil {
		return nil, err
	}
	conn.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { fail(err) })
	never := make(chan *nats.Msg) // a callback each would be a goroutine each
	for _, name := range spec.ColdNames() {
		if _, err := conn.ChanSubscribe(name, never); err != nil {
			return nil, err
		}
	}
	hot, err := conn.Subscribe(spec.Filter+">", func(m *nats.Msg) { sink.Event(m.Data) })
	if err != nil {
		return nil, err
	}
	if err := hot.SetPendingLimits(-1, -1); err != nil {
		return nil, err
	}
	return natsCloser{conn}, conn.Flush()
}

type natsCloser struct{ conn *nats.Conn }

func (c natsCloser) Close() error {
	c.conn.Close()
	return nil
}

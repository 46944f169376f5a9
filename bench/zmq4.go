package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"path/filepath"

	"github.com/go-zeromq/zmq4"
)

// go-zeromq/zmq4's own PUB and SUB sockets.
var zmq4Sockets = &System{
	Name: "zmq4", Kind: kindPeer, Frames: 2, Window: 4096,
	About: "go-zeromq/zmq4 " + moduleVersion("github.com/go-zeromq/zmq4") +
		", its own PUB and SUB: SendMulti of 2 frames (one writev an event), Recv",
	Lossless: "harness window (the queue of PUB has no bound)",
	Driver:   zmq4Driver{},
	Cannot:   func(*Case) string { return "" },
}

type zmq4Driver struct{}

// zmq4Silent drops what sockets log of peers that leave.
var zmq4Silent = zmq4.WithLogger(log.New(io.Discard, "", 0))

func (zmq4Driver) Publisher(spec *Spec, i int) (Publisher, error) {
	socket := zmq4.NewPub(context.Background(), zmq4Silent)
	endpoint := "tcp://127.0.0.1:0"
	switch spec.Transport {
	case "ipc":
		endpoint = fmt.Sprintf("ipc://%s", filepath.Join(spec.Dir, fmt.Sprintf("zmq4-%s-%d", spec.Role, i)))
	case "inproc":
		endpoint = fmt.Sprintf("inproc://bench-%d", i)
	}
	if err := socket.Listen(endpoint); err != nil {
		return nil, err
	}
	if spec.Transport == "tcp" {
		endpoint = "tcp://" + socket.Addr().String()
	}
	return &zmq4Publisher{socket: socket, endpoint: endpoint, topics: spec.TopicNames()}, nil
}

type zmq4Publisher struct {
	socket   zmq4.Socket
	endpoint string
	topics   []string
}

func (p *zmq4Publisher) Endpoint() string { return p.endpoint }

func (p *zmq4Publisher) Run(src *Source) error {
	for src.Next() {
		if err := p.Publish(p.topics[src.Topic], src.Payload); err != nil {
			return err
		}
	}
	return nil
}

// Publish copies the payload: the socket keeps what it is given in its queue.
func (p *zmq4Publisher) Publish(topic string, payload []byte) error {
	return p.socket.SendMulti(zmq4.NewMsgFrom([]byte(topic), append([]byte(nil), payload...)))
}

func (p *zmq4Publisher) Close() error { return p.socket.Close() }

func (zmq4Driver) Subscribe(spec *Spec, endpoints []string, sink *Sink, fail func(error)) (io.Closer, error) {
	socket := zmq4.NewSub(context.Background(), zmq4Silent)
	// Before the connection is there, a subscription is only noted; a new
	// connection is then sent all of them in byte order.
	for _, name := range spec.ColdNames() {
		if err := socket.SetOption(zmq4.OptionSubscribe, name); err != nil {
			return nil, err
		}
	}
	if err := socket.SetOption(zmq4.OptionSubscribe, spec.Filter); err != nil {
		return nil, err
	}
	for _, endpoint := range endpoints {
		if err := socket.Dial(endpoint); err != nil {
			return nil, err
		}
	}
	go func() {
		for {
			m, err := socket.Recv()
			if err != nil {
				fail(err)
				return
			}
			sink.Event(m.Frames[1])
		}
	}()
	return zmq4Closer{socket}, nil
}

type zmq4Closer struct{ socket zmq4.Socket }

// Close overlooks that the socket's own reader may have closed the connection
// first, once it sees that the socket is closing.
func (c zmq4Closer) Close() error {
	if err := c.socket.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

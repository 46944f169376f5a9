package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"
)

// A Kind says what a system is compared as.
type Kind string

const (
	kindHerald Kind = "herald"
	kindPeer   Kind = "peer"  // does the same job
	kindBound  Kind = "bound" // does less: what the machine could do at best
)

// The systems that figures are divided by.
const (
	baseline  = "libzmq"
	baseline3 = "libzmq-3"
)

// A System is one line of the tables: a product in one way of using it.
type System struct {
	Name     string
	Kind     Kind
	About    string // what it is and how it is used
	Lossless string // how nothing is lost

	// Driver is the Go code of the two sides. Nil for a system whose sides are
	// a program of its own, which Build makes in dir.
	Driver Driver
	Build  func(dir string) (program string, err error)

	Server bool // it needs a broker, a process of its own, run by Driver as a Broker
	Window int  // how many events the harness lets be under way; 0: the system holds the publisher back
	Frames int  // frames of an event

	// Cannot says why the system cannot do a case, or "".
	Cannot func(*Case) string
}

// A Driver opens the two sides of a system, within a child process. Its errors
// end the run of the case.
type Driver interface {
	// Publisher opens a publisher: one that binds, to any free port of
	// 127.0.0.1, to a Unix socket in spec.Dir named for i, or to a name in
	// process; or one that connects to spec.Server. The index tells several in
	// one process apart.
	Publisher(spec *Spec, i int) (Publisher, error)

	// Subscribe opens one subscriber: it connects to all the endpoints,
	// subscribes to spec.ColdNames and to spec.Filter, and gives what comes to
	// the sink from one goroutine of its own, but nothing before all of these
	// subscriptions are in force. What goes wrong later is given to fail, which
	// may be called at any time and after Close too.
	Subscribe(spec *Spec, endpoints []string, sink *Sink, fail func(error)) (io.Closer, error)
}

// A Publisher is one publisher, used by one goroutine at a time.
type Publisher interface {
	// Endpoint is where subscribers connect.
	Endpoint() string
	// Run publishes all that the source has, the fastest way that loses
	// nothing, and returns when all of it is with the system: the driver
	// itself holds nothing back.
	Run(src *Source) error
	// Publish publishes one event, which leaves without waiting for another.
	// The payload is the caller's again afterwards.
	Publish(topic string, payload []byte) error
	Close() error
}

// A Broker is a Driver of a system with a server in the middle.
type Broker interface {
	// Serve starts the server in this process and returns its endpoint.
	Serve(spec *Spec) (endpoint string, err error)
}

// systems lists all, in the order of the tables.
func systems() []*System {
	return []*System{
		heraldPrepared, heraldInline, heraldBorrow, heraldOwned,
		libzmq2, libzmq3,
		natsCore,
		zmq4Sockets,
		goChannel, goChannelBatch,
		goTCP,
		ceiling2, ceiling3,
	}
}

// systemNamed is the system of that name.
func systemNamed(name string) (*System, error) {
	var names []string
	for _, s := range systems() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("bench: unknown system %q: there are %s", name, strings.Join(names, ", "))
}

// moduleVersion is the version of a module that this binary was built with.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return "(version unknown)"
}

package main

import (
	"net"
	"strings"
	"sync"
)

// relay is the way from a subscriber to a publisher. It can do what processes and
// networks do on a bad day: go silent while the connection stays open, or break.
type relay struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	target string // of new connections; empty: they are refused
	conns  map[net.Conn]struct{}
	frozen chan struct{} // nil while bytes flow; closed when they flow again
}

func newRelay(target string) (*relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{listener: listener, conns: make(map[net.Conn]struct{})}
	r.connect(target)
	r.wg.Go(r.accept)
	return r, nil
}

// endpoint is where the relay can be reached.
func (r *relay) endpoint() string { return "tcp://" + r.listener.Addr().String() }

// connect says where new connections lead from now on.
func (r *relay) connect(endpoint string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = strings.TrimPrefix(endpoint, "tcp://")
}

// freeze stops all bytes, both ways. Connections stay open, and new ones are
// accepted, as the kernel does it for a process that hangs.
func (r *relay) freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.frozen == nil {
		r.frozen = make(chan struct{})
	}
}

// thaw lets what was held up go on.
func (r *relay) thaw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.frozen != nil {
		close(r.frozen)
		r.frozen = nil
	}
}

// cut breaks all connections, and refuses new ones until connect.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = ""
	for c := range r.conns {
		c.Close()
	}
}

// close ends the relay and waits for its goroutines.
func (r *relay) close() {
	r.listener.Close()
	r.cut()
	r.thaw()
	r.wg.Wait()
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return // closed
		}
		r.wg.Go(func() { r.serve(client) })
	}
}

// serve joins a client to the target until one of them is gone.
func (r *relay) serve(client net.Conn) {
	defer client.Close()
	r.mu.Lock()
	target := r.target
	r.mu.Unlock()
	if target == "" {
		return
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	r.mu.Lock()
	if r.target != target { // cut meanwhile
		r.mu.Unlock()
		return
	}
	r.conns[client], r.conns[server] = struct{}{}, struct{}{}
	r.mu.Unlock()

	var both sync.WaitGroup
	both.Go(func() { r.pump(client, server) })
	both.Go(func() { r.pump(server, client) })
	both.Wait()

	r.mu.Lock()
	delete(r.conns, client)
	delete(r.conns, server)
	r.mu.Unlock()
}

// pump moves bytes one way, and ends both ways when it can't.
func (r *relay) pump(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 4<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		frozen := r.frozen
		r.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

package engine

import (
	"context"
	"net"
	"time"
)

// settled is how long a connection must have held for the next attempt to count
// as the first one again: a peer that takes connections and drops them is not
// dialled in a hot loop.
const settled = time.Second

// Dialer keeps a connection to one endpoint: it dials until there is one, and
// again when it has ended, for ever.
type Dialer struct {
	Tag any // the role's own

	e  *Engine
	ep Endpoint
}

// Dial starts a Dialer for an endpoint. tag is kept in it for the role. Only an
// endpoint that can never be dialled is an error.
func (e *Engine) Dial(endpoint string, tag any) (*Dialer, error) {
	ep, err := ParseEndpoint(endpoint)
	if err == nil {
		err = ep.Dialable()
	}
	if err != nil {
		return nil, err
	}
	d := &Dialer{Tag: tag, e: e, ep: ep}
	e.mu.Lock()
	if e.stopped {
		e.mu.Unlock()
		return nil, ErrClosed
	}
	e.wg.Add(1)
	e.mu.Unlock()
	go d.run()
	return d, nil
}

// Endpoint is the endpoint that is dialled, as it was given.
func (d *Dialer) Endpoint() string { return d.ep.url }

func (d *Dialer) run() {
	defer d.e.wg.Done()
	ctx := d.e.dialling
	for failures := 0; ; failures++ {
		p, err := d.connect(ctx)
		switch {
		case ctx.Err() != nil:
			if p != nil {
				p.conn.Close()
			}
			return
		case err != nil:
			d.e.cfg.Handler.Failed(d, err)
		default:
			since := time.Now()
			d.e.serve(p)
			if time.Since(since) >= settled {
				failures = 0
			}
		}
		t := time.NewTimer(d.e.cfg.Backoff.delay(failures))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// connect makes one attempt.
func (d *Dialer) connect(ctx context.Context) (*Peer, *ConnError) {
	ctx, cancel := context.WithTimeout(ctx, d.e.cfg.HandshakeTimeout)
	defer cancel()
	conn, err := d.e.cfg.Network.dial(ctx, d.ep)
	if err != nil {
		return nil, &ConnError{d.ep.url, "", "dial", err}
	}
	if !d.e.track(conn) {
		conn.Close()
		return nil, &ConnError{d.ep.url, "", "dial", ErrClosed}
	}
	ready, err := d.e.handshake(conn, false)
	d.e.untrack(conn)
	if err != nil {
		conn.Close()
		return nil, &ConnError{d.ep.url, remoteOf(conn), "handshake", err}
	}
	return newPeer(d.e, conn, d.ep.url, d, ready), nil
}

// track lets Close end a handshake that this side began.
func (e *Engine) track(conn net.Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.dialled[conn] = struct{}{}
	return true
}

func (e *Engine) untrack(conn net.Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.dialled, conn)
}

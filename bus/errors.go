package bus

import (
	"errors"
	"fmt"

	"github.com/heraldbus/herald/internal/zmtp"
)

// States in which a call cannot be served.
var (
	// ErrClosed is returned by calls on a publisher or subscriber that was
	// closed, or whose Drain is done.
	ErrClosed = errors.New("bus: closed")
	// ErrDraining is returned by Publish while Drain is under way.
	ErrDraining = errors.New("bus: draining: nothing more can be published")
	// ErrInUse is yielded by a loop over a subscriber whose events another loop is
	// taking at the same time.
	ErrInUse = errors.New("bus: another loop is taking this subscriber's events; use one, or Handle")
)

// Reasons for which this side ends a connection, as seen in [Disconnected].
var (
	// ErrStale ends a connection on which no publisher gave a sign of life.
	ErrStale = errors.New("bus: no sign of life")
	// ErrSlow ends a connection whose peer did not take its events in time, under
	// the policy [Disconnect].
	ErrSlow = errors.New("bus: the peer is too slow: its queue is full")
)

// EndpointError tells what went wrong with an endpoint.
type EndpointError struct {
	Endpoint string // as it was configured
	Op       string // "bind", "dial", "handshake", "drain" …
	Err      error
}

func (e *EndpointError) Error() string {
	return fmt.Sprintf("bus: %s %s: %v", e.Op, e.Endpoint, e.Err)
}

func (e *EndpointError) Unwrap() error { return e.Err }

// ConfigError lists everything that is wrong with a configuration.
type ConfigError struct {
	Type   string  // "PublisherConfig" or "SubscriberConfig"
	Fields []error // one for each bad field, each naming it
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("bus: %s: %v", e.Type, errors.Join(e.Fields...))
}

func (e *ConfigError) Unwrap() []error { return e.Fields }

// fields gathers what is wrong with a configuration.
type fields []error

func (f *fields) bad(name string, value any, why string) {
	*f = append(*f, fmt.Errorf("%s is %v: %s", name, value, why))
}

func (f *fields) add(name string, err error) {
	if err != nil {
		*f = append(*f, fmt.Errorf("%s: %w", name, err))
	}
}

func (f fields) error(typ string) error {
	if len(f) == 0 {
		return nil
	}
	return &ConfigError{Type: typ, Fields: f}
}

// isBreach reports whether a connection was closed for what came over it.
func isBreach(err error) bool {
	return errors.Is(err, zmtp.ErrMalformed) || errors.Is(err, zmtp.ErrTooLarge)
}

package zmtp_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/heraldbus/herald/internal/zmtp"
)

// script is a connection whose peer has sent everything beforehand. It keeps what
// is written to it.
type script struct {
	in      []byte
	chunk   int   // most bytes of one Read, 0: all
	end     error // after in; nil: io.EOF
	out     bytes.Buffer
	largest int // the largest buffer that was to be filled
}

func (s *script) Read(p []byte) (int, error) {
	s.largest = max(s.largest, len(p))
	if len(s.in) == 0 {
		if s.end != nil {
			return 0, s.end
		}
		return 0, io.EOF
	}
	if s.chunk > 0 && len(p) > s.chunk {
		p = p[:s.chunk]
	}
	n := copy(p, s.in)
	s.in = s.in[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return nil }
func (s *script) RemoteAddr() net.Addr             { return nil }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// greeting is a peer's greeting.
func greeting(major, minor byte, mechanism string, asServer byte) []byte {
	b := make([]byte, 64)
	b[0], b[9], b[10], b[11], b[32] = 0xff, 0x7f, major, minor, asServer
	copy(b[12:32], mechanism)
	return b
}

// property is one property of metadata; its size field says size where that is
// not negative.
func property(name, value string, size int) string {
	if size < 0 {
		size = len(value)
	}
	return fmt.Sprintf("%c%s%c%c%c%c%s", rune(len(name)), name, 0, 0, size>>8&0x7f, size&0x7f, value)
}

func socketType(t string) string { return property("Socket-Type", t, -1) }

// then is b followed by the command name with data.
func then(b []byte, name, data string) []byte {
	return zmtp.AppendCommand(bytes.Clone(b), name, []byte(data))
}

var (
	hello  = greeting(3, 0, "NULL", 0)
	helloP = greeting(3, 0, "PLAIN", 0)
)

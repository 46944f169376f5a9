package zmtp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

var (
	// ErrMalformed is wrapped by the errors of [Limits.Parse] for bytes that are
	// not ZMTP. The stream cannot be read on: close the connection.
	ErrMalformed = errors.New("malformed")
	// ErrTooLarge is wrapped by the errors of [Limits.Parse] for a message that is
	// beyond a limit. Close the connection, or raise the limit that is named.
	ErrTooLarge = errors.New("too large")
)

// What the zero [Limits] allows.
const (
	DefaultFrame   = 64 << 20 // bytes of one frame
	DefaultFrames  = 1024     // frames of one message
	DefaultMessage = 64 << 20 // bytes of all frames of one message
)

// Limits bounds what a peer may send as one message. In each field zero stands
// for the default, and a negative number is refused by [Limits.Validate].
//
// Headers are not counted. A command counts as a message of one frame; a command
// between the frames of a message (see [Message].Between) counts as one of them.
type Limits struct {
	Frame   int // bytes of one frame; 0: [DefaultFrame]
	Frames  int // frames of one message; 0: [DefaultFrames]
	Message int // bytes of all frames of one message; 0: [DefaultMessage]
}

// WithDefaults returns l with its zeros replaced by the defaults.
func (l Limits) WithDefaults() Limits {
	if l.Frame == 0 {
		l.Frame = DefaultFrame
	}
	if l.Frames == 0 {
		l.Frames = DefaultFrames
	}
	if l.Message == 0 {
		l.Message = DefaultMessage
	}
	return l
}

// Validate names every field of l that is out of range.
func (l Limits) Validate() error {
	bad := func(name string, v, high int) error {
		if v >= 0 && v <= high {
			return nil
		}
		return fmt.Errorf("zmtp: Limits.%s is %d: give 1 to %d, or 0 for the default", name, v, high)
	}
	// Half of the range leaves room for the headers in every sum that Parse makes.
	return errors.Join(
		bad("Frame", l.Frame, math.MaxInt/2),
		bad("Frames", l.Frames, math.MaxInt/4/MaxHeader),
		bad("Message", l.Message, math.MaxInt/2),
	)
}

// Message is one complete message, or one command, as [Limits.Parse] found it.
// Name and all frames alias the parsed buffer and are valid as long as its bytes
// are; Frames and Between themselves are used again by the next Parse. The zero
// Message is ready for use.
type Message struct {
	Command bool     // a command, not a message
	Name    []byte   // of a command, never empty; nil for a message
	Frames  [][]byte // of a message, at least one; of a command exactly one, what follows its name

	// Between holds the commands that stood between the frames of a message, in
	// their order. ZMTP knows no such thing, but libzmq does it: with
	// ZMQ_HEARTBEAT_IVL set, it puts a PING between two frames whenever its timer
	// fires while a large message is under way, and drops the connection when no
	// PONG comes. So Parse fills Between also while the message is incomplete: then
	// the list only grows from call to call, and a reader that has seen to the
	// first k commands goes on at Between[k].
	Between []Message
}

// Parse reads the message or command at the start of b into m.
//
// With n > 0 it was complete and took n bytes. With n == 0 and no error it is
// incomplete: no b shorter than need can hold it, so a reader whose buffer is
// smaller than need has to make it larger. That need is reached by sizes that
// were found within l. An error wraps [ErrMalformed] or [ErrTooLarge] and is
// final; it comes as soon as the bytes that are there show it. When n == 0, m
// holds nothing but Between.
//
// Limits that [Limits.Validate] accepts are Parse's only condition. It does not
// allocate once the slices of m are as long as messages make them.
func (l *Limits) Parse(b []byte, m *Message) (n, need int, err error) {
	lim := l.WithDefaults()
	frames := m.Frames[:0]
	m.Between = m.Between[:0]
	if m.Command {
		m.Command, m.Name = false, nil
	}
	off, left := 0, lim.Message

	// The frequent case: short frames, all there. Whatever is out of the ordinary
	// is left, where it stands, to the general loop.
	for maxFrame := min(lim.Frame, MaxShort); ; {
		rest := b[off:]
		if len(rest) < shortHeader {
			break
		}
		flags, size := rest[0], int(rest[1])
		end := shortHeader + size
		if flags > FlagMore || end > len(rest) || size > maxFrame || size > left || len(frames)+int(flags) >= lim.Frames {
			break
		}
		frames = append(frames, rest[shortHeader:end:end])
		left -= size
		off += end
		if flags == 0 {
			m.Frames = frames
			return off, 0, nil
		}
	}
	m.Frames = frames
	n, need, err = lim.parse(b, m, off, left)
	if n == 0 {
		m.Frames = m.Frames[:0]
	}
	return n, need, err
}

// parse goes on with the message in b at off, where a frame starts, after the
// frames that m already has. left is what remains of lim.Message.
func (lim *Limits) parse(b []byte, m *Message, off, left int) (n, need int, err error) {
	for {
		count := len(m.Frames) + len(m.Between)
		first := off == 0
		rest := b[off:]
		if len(rest) == 0 {
			return 0, off + shortHeader, nil
		}
		flags := rest[0]
		switch {
		case flags&^flagsKnown != 0:
			return 0, 0, fmt.Errorf("zmtp: frame flags %#02x: reserved bits are set: %w", flags, ErrMalformed)
		case flags&(FlagCommand|FlagMore) == FlagCommand|FlagMore:
			return 0, 0, fmt.Errorf("zmtp: frame flags %#02x: a command cannot have more frames: %w", flags, ErrMalformed)
		case count+int(flags&FlagMore) >= lim.Frames: // with more to come, one is not enough
			return 0, 0, fmt.Errorf("zmtp: message of more than %d frames (Limits.Frames): %w", lim.Frames, ErrTooLarge)
		}
		header := shortHeader
		if flags&FlagLong != 0 {
			header = longHeader
		}
		if len(rest) < header {
			return 0, off + header, nil
		}
		size64 := uint64(rest[1])
		if flags&FlagLong != 0 {
			size64 = binary.BigEndian.Uint64(rest[1:])
		}
		if size64 > uint64(max(lim.Frame, 0)) {
			return 0, 0, fmt.Errorf("zmtp: frame of %d bytes, the limit is %d (Limits.Frame): %w", size64, lim.Frame, ErrTooLarge)
		}
		if size64 > uint64(max(left, 0)) {
			return 0, 0, fmt.Errorf("zmtp: message of more than %d bytes (Limits.Message): %w", lim.Message, ErrTooLarge)
		}
		if size64 > uint64(len(rest)-header) {
			need = off + header + int(size64)
			if flags&FlagMore != 0 || flags&FlagCommand != 0 && !first {
				need += shortHeader // at least one more frame, perhaps empty
			}
			return 0, need, nil
		}
		end := header + int(size64)
		body := rest[header:end:end]
		off += end
		left -= len(body)
		if flags&FlagCommand == 0 {
			m.Frames = append(m.Frames, body)
			if flags&FlagMore == 0 {
				return off, 0, nil
			}
			continue
		}
		name, data, ok := cutCommand(body)
		if !ok {
			return 0, 0, fmt.Errorf("zmtp: command of %d bytes has no name: %w", len(body), ErrMalformed)
		}
		if first {
			m.setCommand(name, data)
			return off, 0, nil
		}
		m.addBetween().setCommand(name, data)
	}
}

// addBetween makes m.Between one longer, with the slices of an earlier use.
func (m *Message) addBetween() *Message {
	k := len(m.Between)
	if k < cap(m.Between) {
		m.Between = m.Between[:k+1]
	} else {
		m.Between = append(m.Between, Message{})
	}
	return &m.Between[k]
}

func (m *Message) setCommand(name, data []byte) {
	m.Command, m.Name = true, name
	m.Frames = append(m.Frames[:0], data)
}

// cutCommand cuts the body of a command frame into the command's name and what
// follows it, RFC 23 "command-body". What letters the name is made of is not
// looked at: a command that nobody here knows is to be ignored, as libzmq does.
func cutCommand(body []byte) (name, data []byte, ok bool) {
	if len(body) == 0 || body[0] == 0 || int(body[0]) >= len(body) {
		return nil, nil, false
	}
	end := 1 + int(body[0])
	return body[1:end:end], body[end:], true
}

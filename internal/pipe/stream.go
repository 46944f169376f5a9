package pipe

import (
	"math/bits"
	"os"
	"sync"
	"time"
)

const (
	// DefaultSize is how many bytes one direction of a connection holds, unless
	// it is told otherwise.
	DefaultSize = 256 << 10

	// minRing is the size of a ring that carries small messages.
	minRing = 4 << 10

	// copyLocked is the size up to which a copy is made with the lock held.
	// Giving the lock up and taking it again costs as much as copying this much;
	// above it, the two sides copy at the same time.
	copyLocked = 2 << 10

	// quietDrains is how many times in a row a ring must have been emptied
	// without having been a quarter full before it is given back.
	quietDrains = 32
)

// Stream is one direction of a connection: bytes go in by Write, wait in a ring,
// and come out by Read in the same order.
//
// A Stream has three ends, and each is final: End says that no more bytes will
// come, Break that no more are wanted from the writer, Discard that the reader
// is gone. Of several errors given to the same end the first stays.
//
// A Stream made with a gate holds back what was written until Release lets it
// through: internal/memnet builds its faults on that.
//
// All methods are safe for concurrent use.
type Stream struct {
	limit int
	gate  func(n int) // nil: what is written can be read at once

	mu       sync.Mutex
	readable sync.Cond // bytes to read, the turn to read, an end, or a deadline
	writable sync.Cond // room to write, the turn to write, an end, or a deadline

	// Positions in the stream, counted from its first byte. The ring's index of
	// a position is position & (len(ring)-1).
	head uint64 // read up to here
	open uint64 // readable up to here; head <= open <= tail
	tail uint64 // written up to here; tail - head <= limit
	ring []byte // its length is a power of two; nil: not allocated

	reading bool // a reader has its turn, and may be copying without the lock
	writing bool // a writer has its turn, and may be copying without the lock
	need    int  // the room that the writer waits for; 0: it does not wait

	ended  error // of a read once all that is readable was read
	broken error // of a write
	gone   error // of a read, at once; nothing is readable from then on

	peak  uint64 // the most bytes in the ring since it was last empty
	quiet int    // how often in a row it was emptied with a small peak

	readBy, writeBy deadline
}

// NewStream makes a Stream that holds up to limit bytes; zero or negative means
// DefaultSize.
//
// If gate is not nil, written bytes cannot be read until Release is called, and
// gate is called, without any lock of the Stream, each time n more bytes have
// been taken from the writer. It must not call the Stream's Write methods.
func NewStream(limit int, gate func(n int)) *Stream {
	if limit <= 0 {
		limit = DefaultSize
	}
	s := &Stream{limit: limit, gate: gate}
	s.readable.L = &s.mu
	s.writable.L = &s.mu
	return s
}

// Read waits until there is something to read and takes all of it that fits in
// p. It returns the error of Discard, os.ErrDeadlineExceeded, or, once
// everything has been read, the error of End. With an empty p it does not wait.
func (s *Stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.gone != nil:
			return 0, s.gone
		case s.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case s.reading: // wait for the turn
		case s.open > s.head:
			return s.take(p)
		case s.ended != nil:
			return 0, s.ended
		}
		s.readBy.wait(&s.readable)
	}
}

// take copies what is readable into p. The lock is held, and something is readable.
func (s *Stream) take(p []byte) (int, error) {
	n := min(len(p), int(s.open-s.head))
	if ring, head := s.ring, s.head; n <= copyLocked {
		get(p[:n], ring, head)
	} else {
		// The writer does not touch these bytes before head moves on, and a ring
		// that it replaces meanwhile stays as it was.
		s.reading = true
		s.mu.Unlock()
		get(p[:n], ring, head)
		s.mu.Lock()
		s.reading = false
		s.readable.Broadcast() // the next reader's turn
		if s.gone != nil {
			s.show(s.open)
			s.free()
			return 0, s.gone
		}
	}
	s.head += uint64(n)
	s.free()
	s.wakeWriter()
	return n, nil
}

// Write waits until all of p has been taken. On an error, that of Break or
// os.ErrDeadlineExceeded, n says how many bytes were.
func (s *Stream) Write(p []byte) (n int, err error) {
	one := [1][]byte{p}
	return s.write(one[:], len(p), true)
}

// WriteBuffers writes all buffers as one Write. It does not change bufs.
func (s *Stream) WriteBuffers(bufs [][]byte) (n int64, err error) {
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	written, err := s.write(bufs, total, true)
	return int64(written), err
}

// TryWrite takes as much of p as there is room for, and does not wait: n is 0
// and err nil when there is none, or while another Write is under way. The
// error is that of Break; a write deadline has no meaning here.
func (s *Stream) TryWrite(p []byte) (n int, err error) {
	one := [1][]byte{p}
	return s.write(one[:], len(p), false)
}

// write puts bufs, which are rest bytes together, into the ring.
func (s *Stream) write(bufs [][]byte, rest int, wait bool) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.broken != nil:
			return 0, s.broken
		case wait && s.writeBy.passed():
			return 0, os.ErrDeadlineExceeded
		case rest == 0:
			return 0, nil
		}
		if !s.writing {
			break
		}
		if !wait {
			return 0, nil
		}
		s.writeBy.wait(&s.writable)
	}

	s.writing = true
	from := 0 // how much of bufs[0] has been written
	for {
		k := min(rest, s.room())
		if k > 0 {
			s.grow(k)
			if ring, at := s.ring, s.tail; k <= copyLocked {
				bufs, from = put(ring, at, bufs, from, k)
			} else {
				// The reader does not look beyond tail, and nobody replaces the
				// ring while a writer has its turn.
				s.mu.Unlock()
				bufs, from = put(ring, at, bufs, from, k)
				s.mu.Lock()
			}
			if err = s.broken; err != nil {
				break // these bytes have come too late
			}
			s.tail += uint64(k)
			s.peak = max(s.peak, s.tail-s.head)
			n += k
			rest -= k
			if s.gate == nil {
				s.show(s.tail)
			} else {
				s.mu.Unlock()
				s.gate(k)
				s.mu.Lock()
			}
		}
		if rest == 0 || !wait {
			break
		}
		// The stream may have been broken, or the deadline passed, while the gate was
		// called without the lock.
		if s.room() == 0 && s.broken == nil && !s.writeBy.passed() {
			// Not for each byte of room: writer and reader would take turns at
			// every small read.
			s.need = max(1, min(rest, s.limit/4))
			s.writeBy.wait(&s.writable)
			s.need = 0
		}
		if err = s.broken; err != nil {
			break
		}
		if s.writeBy.passed() {
			err = os.ErrDeadlineExceeded
			break
		}
	}
	s.writing = false
	s.free()
	s.writable.Broadcast() // the next writer's turn
	return n, err
}

// Release lets the reader of a gated Stream see n more of the bytes that were
// written; beyond those there are none to see.
func (s *Stream) Release(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.show(min(s.open+uint64(n), s.tail))
}

// End says that nothing more will come: the reader reads what is readable by
// now, and then gets err. Bytes held back by a gate are dropped. It does not
// stop the writer: call Break before it.
func (s *Stream) End(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.ended = err
		s.tail = s.open
		s.readable.Broadcast()
	}
}

// Break makes every Write fail with err from now on, those that wait included.
func (s *Stream) Break(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = err
		s.writable.Broadcast()
		s.free()
	}
}

// Discard drops what is readable and makes every Read fail with err from now
// on, those that wait included. The writer is not told: call Break for that.
func (s *Stream) Discard(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone == nil {
		s.gone = err
		s.readable.Broadcast()
		s.show(s.open)
		s.free()
	}
}

// SetReadDeadline sets the time after which Read fails with
// os.ErrDeadlineExceeded; the zero time means never.
func (s *Stream) SetReadDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readBy.set(t)
	s.readable.Broadcast()
}

// SetWriteDeadline sets the time after which Write and WriteBuffers fail with
// os.ErrDeadlineExceeded; the zero time means never.
func (s *Stream) SetWriteDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeBy.set(t)
	s.writable.Broadcast()
}

// Written says how many bytes have been taken from the writer, without those
// that End has dropped.
func (s *Stream) Written() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.tail)
}

// show makes everything before the position to readable. The lock is held.
func (s *Stream) show(to uint64) {
	s.open = to
	switch {
	case s.gone == nil:
		s.readable.Broadcast()
	case !s.reading: // else the reader comes here once it has left the ring alone
		s.head = to // nobody will read it
		s.wakeWriter()
	}
}

// wakeWriter wakes the writer when there is the room that it waits for. The lock
// is held.
func (s *Stream) wakeWriter() {
	if s.need > 0 && s.room() >= s.need {
		s.need = 0
		s.writable.Broadcast()
	}
}

// room is how much can be written now. The lock is held.
func (s *Stream) room() int { return s.limit - int(s.tail-s.head) }

// grow makes the ring large enough for n more bytes. The lock is held, and the
// caller has the writers' turn.
func (s *Stream) grow(n int) {
	used := int(s.tail - s.head)
	if used+n <= len(s.ring) {
		return
	}
	ring := make([]byte, max(minRing, 1<<bits.Len(uint(used+n-1))))
	if used > 0 {
		i := int(s.head & uint64(len(s.ring)-1))
		first := s.ring[i:min(i+used, len(s.ring))]
		pair := [2][]byte{first, s.ring[:used-len(first)]}
		put(ring, s.head, pair[:], 0, used)
	}
	s.ring = ring
	s.quiet = 0
}

// free gives the ring back when it is empty, and either of no more use or larger
// than what it carried of late. The lock is held.
func (s *Stream) free() {
	if s.head != s.tail || s.reading || s.writing || s.ring == nil {
		return
	}
	if s.gone != nil || s.broken != nil {
		s.ring = nil
		return
	}
	if len(s.ring) > minRing {
		if s.peak > uint64(len(s.ring)/4) {
			s.quiet = 0
		} else if s.quiet++; s.quiet == quietDrains {
			s.ring = nil
		}
	}
	s.peak = 0
}

// get fills p from the ring, beginning at a position.
func get(p, ring []byte, at uint64) {
	n := copy(p, ring[at&uint64(len(ring)-1):])
	copy(p[n:], ring)
}

// put copies n bytes of bufs, of whose first one `from` bytes are already done,
// into the ring at a position. It returns what is left.
func put(ring []byte, at uint64, bufs [][]byte, from, n int) ([][]byte, int) {
	for n > 0 {
		b := bufs[0][from:]
		if len(b) > n {
			b = b[:n]
			from += n
		} else {
			bufs, from = bufs[1:], 0
		}
		k := copy(ring[at&uint64(len(ring)-1):], b)
		copy(ring, b[k:])
		at += uint64(len(b))
		n -= len(b)
	}
	return bufs, from
}

package pipe

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// TestMemory: nothing before the first write, little for small messages, the
// size for large ones, and little again when those have passed.
func TestMemory(t *testing.T) {
	s := NewStream(0, nil)
	buf := make([]byte, DefaultSize)
	round := func(n int) {
		if _, err := s.Write(buf[:n]); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	has := func(n int) {
		t.Helper()
		if len(s.ring) != n {
			t.Fatalf("the ring has %d bytes, want %d", len(s.ring), n)
		}
	}
	has(0)
	round(100)
	has(minRing)
	round(minRing + 1)
	has(2 * minRing)
	for range 2 * quietDrains {
		round(DefaultSize)
		round(100)
		has(DefaultSize)
	}
	for range quietDrains - 1 { // and the last of the rounds above
		has(DefaultSize)
		round(100)
	}
	has(0)
	round(100)
	has(minRing)

	s.Write(buf[:100])
	s.Break(io.ErrClosedPipe)
	has(minRing)
	s.Read(buf)
	has(0)

	s = NewStream(0, nil)
	s.Write(buf)
	s.Discard(io.ErrClosedPipe)
	has(0)
}

// TestGate: bytes come out as they are released, and never more than were written.
func TestGate(t *testing.T) {
	taken := 0
	s := NewStream(10, func(n int) { taken += n })
	errEnd, errBroken := errors.New("end"), errors.New("broken")
	offsets := func(written int64, open, read uint64) {
		t.Helper()
		if s.Written() != written || s.open != open || s.head != read {
			t.Fatalf("offsets %d %d %d, want %d %d %d", s.Written(), s.open, s.head, written, open, read)
		}
	}
	s.Write([]byte("abc"))
	s.WriteBuffers([][]byte{[]byte("de"), []byte("fgh")})
	if n, err := s.TryWrite([]byte("ijkl")); n != 2 || err != nil || taken != 10 {
		t.Fatalf("took %d, %v; the gate has seen %d", n, err, taken)
	}
	offsets(10, 0, 0)
	buf := make([]byte, 10)
	s.Release(4)
	if n, err := s.Read(buf); string(buf[:n]) != "abcd" || err != nil {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
	offsets(10, 4, 4)
	s.Release(2)
	s.Break(errBroken)
	s.End(errEnd)
	s.Release(100)
	offsets(6, 6, 4)
	if n, err := s.Read(buf); string(buf[:n]) != "ef" || err != nil {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
	if _, err := s.Read(buf); err != errEnd {
		t.Fatalf("read: %v", err)
	}
	if _, err := s.Write(buf); err != errBroken {
		t.Fatalf("write: %v", err)
	}
	if _, err := s.TryWrite(buf); err != errBroken {
		t.Fatalf("write: %v", err)
	}
}

// TestDiscard: what is written when the reader is gone takes no room, once it
// has been released.
func TestDiscard(t *testing.T) {
	s := NewStream(10, func(int) {})
	s.Write([]byte("0123456789"))
	s.Discard(io.EOF)
	if n, _ := s.TryWrite([]byte("x")); n != 0 {
		t.Fatal("there was room before anything was released")
	}
	s.Release(10)
	if n, _ := s.TryWrite([]byte("0123456789x")); n != 10 {
		t.Fatalf("took %d", n)
	}
	if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("read %d, %v", n, err)
	}
}

// FuzzStream compares a Stream with a slice, over any order of operations that
// do not wait. An operation is two bytes: which, and how much.
func FuzzStream(f *testing.F) {
	f.Add(false, uint16(100), []byte("\x00\x20\x01\x30\x02\x40\x03\x50"))
	f.Fuzz(func(t *testing.T, gated bool, limit uint16, ops []byte) {
		held := 0
		var gate func(int)
		if gated {
			gate = func(n int) { held += n }
		}
		s := NewStream(int(limit)+1, gate)
		var model []byte // written and not read
		next := byte(0)
		for ; len(ops) >= 2; ops = ops[2:] {
			n := int(ops[1]) << (ops[0] >> 2 & 15)
			room := int(limit) + 1 - len(model)
			p := make([]byte, min(n, 1<<18))
			for i := range p {
				p[i] = next + byte(i)
			}
			took := min(len(p), room)
			switch ops[0] & 3 {
			case 0:
				if k, err := s.TryWrite(p); k != took || err != nil {
					t.Fatalf("took %d of %d, %v, with room for %d", k, len(p), err, room)
				}
			case 1:
				p = p[:took]
				third := took / 3
				if k, err := s.WriteBuffers([][]byte{p[:third], p[third : 2*third], p[2*third:]}); int(k) != took || err != nil {
					t.Fatalf("wrote %d of %d, %v", k, took, err)
				}
			case 2:
				took = 0
				if len(model) == held {
					continue // it would wait
				}
				k, err := s.Read(p)
				if k != min(len(p), len(model)-held) || err != nil || !bytes.Equal(p[:k], model[:k]) {
					t.Fatalf("read %d of %d, %v", k, len(model)-held, err)
				}
				model = model[k:]
			case 3:
				took = 0
				if n = min(n, held); n > 0 {
					s.Release(n)
					held -= n
				}
			}
			model = append(model, p[:took]...)
			next += byte(took)
		}
		s.Release(held)
		s.End(io.EOF)
		rest, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(rest, model) {
			t.Fatalf("the rest is %d bytes, %v, want %d", len(rest), err, len(model))
		}
	})
}

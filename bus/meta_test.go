package bus

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"
)

// docs/wire.md, section 2, byte by byte.
const goldenMeta = "4842" + "01" + "04" +
	"0123456789abcdef" + // source
	"0000000000000102" + // seq
	"0000000000000101" + // prev
	"fffffffffffffffe" + // time, signed: two nanoseconds before 1970
	"02" + "0c" + "636f6e74656e742d74797065" + "01" + "78" + "01" + "6b" + "00" // content-type: x, k: nothing

func golden(t testing.TB) []byte {
	b, err := hex.DecodeString(goldenMeta)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMetaGolden(t *testing.T) {
	want := golden(t)
	headers, err := appendHeaders(nil, []Header{{HeaderContentType, "x"}, {"k", ""}})
	if err != nil {
		t.Fatal(err)
	}
	got := append(make([]byte, metaSize), headers...)
	putMeta(got, flagHeaders, 0x0123456789abcdef, 0x102, 0x101, -2)
	if !bytes.Equal(got, want) {
		t.Errorf("encoded as\n%x, want\n%x", got, want)
	}
	if !isMeta(want) {
		t.Fatal("it is not taken for a meta")
	}
	m := meta(want)
	if m.flags() != flagHeaders || m.inc() != 0x0123456789abcdef || m.seq() != 0x102 || m.prev() != 0x101 || m.time() != -2 {
		t.Errorf("read as %x %x %x %x %d", m.flags(), m.inc(), m.seq(), m.prev(), m.time())
	}
	var msg Message
	(&item{topic: "t", meta: m, origin: &Origin{}}).fill(&msg)
	if v, ok := msg.Header("content-type"); !ok || v != "x" || len(msg.Headers()) != 2 || msg.Time.UnixNano() != -2 || msg.Seq != 0x102 {
		t.Errorf("a message of it: %+v, headers %q", msg, msg.Headers())
	}
}

func TestMetaOfOthers(t *testing.T) {
	good := golden(t)
	for name, b := range map[string][]byte{
		"nothing":         nil,
		"one byte short":  good[:metaSize-1],
		"version 2":       append([]byte("HB\x02"), good[3:]...),
		"version 0":       append([]byte("HB\x00"), good[3:]...),
		"another magic":   append([]byte("HC\x01"), good[3:]...),
		"bitcoind's seq":  {1, 0, 0, 0},
		"a text of words": []byte(strings.Repeat("word ", 20)),
	} {
		if isMeta(b) {
			t.Errorf("%s is taken for a meta", name)
		}
	}
	// Flags of later versions are ignored, and bytes where none are announced.
	m := meta(bytes.Clone(good))
	m[3] = 0xff &^ flagHeaders
	if !isMeta(m) || m.headers() != nil {
		t.Error("unknown flags make a difference")
	}
	var msg Message
	(&item{meta: m, origin: &Origin{}}).fill(&msg)
	if !msg.Replayed || !msg.Retained || msg.Headers() != nil {
		t.Errorf("%+v", msg)
	}
	(&item{origin: &Origin{}}).fill(&msg) // into the same message, as Borrow does
	if msg.Replayed || msg.Retained || msg.Seq != 0 || !msg.Time.IsZero() || msg.Headers() != nil {
		t.Errorf("a foreign message has kept something of the one before: %+v", msg)
	}
}

func FuzzMeta(f *testing.F) {
	f.Add(golden(f))
	f.Add([]byte("HB\x01\x04"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !isMeta(b) {
			return
		}
		m := meta(b)
		again := append(make([]byte, metaSize), m[metaSize:]...)
		putMeta(again, m.flags(), m.inc(), m.seq(), m.prev(), m.time())
		if !bytes.Equal(again, b) {
			t.Errorf("%x comes back as %x", b, again)
		}
		var msg Message
		(&item{meta: m, origin: &Origin{}}).fill(&msg)
		for _, h := range msg.Headers() {
			if v, ok := msg.Header(h.Key); !ok || len(v) > len(b) {
				t.Errorf("header %q is listed and not found", h.Key)
			}
		}
		c := msg.Clone()
		if len(c.Headers()) != len(msg.Headers()) {
			t.Error("a clone has other headers")
		}
		// Whatever it says, the chain of a stream takes it.
		for _, cover := range [][]string{{""}, {"t"}} {
			st := newStream(1, 4, 1, cover)
			st.inForce(1, m.time64())
			e := st.table.LookupString(nil, "t")
			for range 2 {
				fresh, miss := st.judge(e, m)
				if fresh {
					st.take(e, m)
				}
				if miss.count > 0 && (!fresh || miss.count >= m.seq() || miss.after >= miss.before) {
					t.Errorf("seq %d, prev %d: %+v", m.seq(), m.prev(), miss)
				}
			}
		}
	})
}

// time64 is some number of the peer's choice.
func (m meta) time64() uint64 { return uint64(m.time()) & (math.MaxUint64 >> 1) }

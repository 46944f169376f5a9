package bus

import (
	"encoding/binary"
)

// The meta frame of docs/wire.md, section 2.
const (
	metaSize  = 36
	metaMagic = "HB\x01" // and version 1

	flagReplayed = 1 << 0
	flagRetained = 1 << 1
	flagHeaders  = 1 << 2
)

// meta is a frame that isMeta has approved of.
type meta []byte

// isMeta reports whether a frame is a meta of a version known here. Anything else
// is an extra frame of a foreign publisher.
func isMeta(b []byte) bool {
	return len(b) >= metaSize && b[0] == 'H' && b[1] == 'B' && b[2] == 1
}

func (m meta) flags() byte  { return m[3] }
func (m meta) inc() uint64  { return binary.BigEndian.Uint64(m[4:]) }
func (m meta) seq() uint64  { return binary.BigEndian.Uint64(m[12:]) }
func (m meta) prev() uint64 { return binary.BigEndian.Uint64(m[20:]) }
func (m meta) time() int64  { return int64(binary.BigEndian.Uint64(m[28:])) }

// headers is the encoded headers, empty when there are none.
func (m meta) headers() []byte {
	if m[3]&flagHeaders == 0 {
		return nil
	}
	return m[metaSize:]
}

// putMeta writes the fixed part into b, which has at least metaSize bytes.
func putMeta(b []byte, flags byte, inc, seq, prev uint64, time int64) {
	_ = b[metaSize-1]
	copy(b, metaMagic)
	b[3] = flags
	binary.BigEndian.PutUint64(b[4:], inc)
	binary.BigEndian.PutUint64(b[12:], seq)
	binary.BigEndian.PutUint64(b[20:], prev)
	binary.BigEndian.PutUint64(b[28:], uint64(time))
}

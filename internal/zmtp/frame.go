package zmtp

import "encoding/binary"

// The flags octet of a frame, RFC 23 "Framing". Bits 7 to 3 are reserved and zero.
const (
	FlagMore    = 1 // more frames of the same message follow
	FlagLong    = 2 // the size is eight octets, not one
	FlagCommand = 4 // a command, not a frame of a message

	flagsKnown = FlagMore | FlagLong | FlagCommand
)

// Sizes of frames in bytes.
const (
	MaxShort  = 255 // the largest body whose size fits into one octet
	MaxHeader = 9   // flags and a size of eight octets

	shortHeader = 2
	longHeader  = MaxHeader
)

// HeaderLen returns the length in bytes, 2 or 9, of the header that
// [AppendHeader] writes for a body of n bytes.
func HeaderLen(n int) int {
	if n > MaxShort {
		return longHeader
	}
	return shortHeader
}

// AppendHeader appends to dst the header of a frame whose body has n bytes. Of
// flags, [FlagMore] and [FlagCommand] are taken as they are; [FlagLong] follows
// from n alone. n must not be negative.
func AppendHeader(dst []byte, flags byte, n int) []byte {
	if n > MaxShort {
		return binary.BigEndian.AppendUint64(append(dst, flags|FlagLong), uint64(n))
	}
	return append(dst, flags&^FlagLong, byte(n))
}

// AppendFrame appends to dst one frame with a copy of body.
func AppendFrame(dst []byte, flags byte, body []byte) []byte {
	return append(AppendHeader(dst, flags, len(body)), body...)
}

// AppendMessage appends to dst a message of the given frames, with copies of
// their bytes. Without frames there is no message, and dst comes back as it was.
func AppendMessage(dst []byte, frames ...[]byte) []byte {
	for i, f := range frames {
		var flags byte
		if i < len(frames)-1 {
			flags = FlagMore
		}
		dst = AppendFrame(dst, flags, f)
	}
	return dst
}

// Skip returns the length in bytes of the message or command at the start of b,
// with all its frames, or 0 when b does not hold the whole of it. It knows no
// limits and checks nothing but lengths: it is for bytes that this package wrote,
// so that the oldest message of a queue can be dropped.
func Skip(b []byte) int {
	for off := 0; ; {
		rest := b[off:]
		if len(rest) < shortHeader {
			return 0
		}
		flags, size, header := rest[0], uint64(rest[1]), shortHeader
		if flags&FlagLong != 0 {
			if len(rest) < longHeader {
				return 0
			}
			size, header = binary.BigEndian.Uint64(rest[1:]), longHeader
		}
		if size > uint64(len(rest)-header) {
			return 0
		}
		off += header + int(size)
		if flags&FlagMore == 0 {
			return off
		}
	}
}

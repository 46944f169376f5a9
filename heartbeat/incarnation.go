package heartbeat

import (
	"fmt"
	"strconv"
)

// Incarnation is the random number of a publisher's incarnation: new each time it
// starts. It prints as 16 hexadecimal digits. Zero is no source.
type Incarnation uint64

// ParseIncarnation reads what String prints: exactly 16 hexadecimal digits, in
// either case, that are not all zero. Its error wraps [ErrInvalid].
func ParseIncarnation(s string) (Incarnation, error) {
	if len(s) != 16 {
		return 0, fmt.Errorf("%w source %.40q: write 16 hexadecimal digits", ErrInvalid, s)
	}
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%w source %q: write 16 hexadecimal digits that are not all zero", ErrInvalid, s)
	}
	return Incarnation(n), nil
}

// String returns 16 hexadecimal digits in lower case.
func (s Incarnation) String() string { return string(s.append(make([]byte, 0, 16))) }

// MarshalText returns what String does. It never fails.
func (s Incarnation) MarshalText() ([]byte, error) { return s.append(make([]byte, 0, 16)), nil }

// UnmarshalText reads what ParseIncarnation does.
func (s *Incarnation) UnmarshalText(text []byte) error {
	source, err := ParseIncarnation(string(text))
	if err == nil {
		*s = source
	}
	return err
}

func (s Incarnation) append(dst []byte) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[s>>shift&0xf])
	}
	return dst
}

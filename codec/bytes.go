package codec

// Bytes returns the codec of payloads that are bytes already,
// "application/octet-stream". It never fails. Both ways copy, so the bytes
// that Decode returns belong to the caller; they are never nil.
func Bytes() Codec[[]byte] { return octets{} }

type octets struct{}

func (octets) ContentType() string { return "application/octet-stream" }

func (octets) Append(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }

func (octets) Decode(data []byte) ([]byte, error) {
	v := make([]byte, len(data))
	copy(v, data)
	return v, nil
}

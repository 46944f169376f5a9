package codec

// Codec encodes and decodes values of type T. Implementations must be safe for
// concurrent use.
//
// Decode returns the value instead of filling one in: a pointer that goes
// through an interface forces every caller's value onto the heap, and a value
// that is filled in twice keeps fields of the first payload that the second
// does not have.
type Codec[T any] interface {
	// Append appends the encoding of v to dst and returns the extended
	// slice, as append does. On an error it returns dst as it was, though
	// the memory between its length and its capacity may have changed.
	Append(dst []byte, v T) ([]byte, error)

	// Decode returns the value that data encodes, or the zero T and an
	// error. It keeps no reference to data. All of data must be the
	// encoding: anything left over is an error.
	Decode(data []byte) (T, error)

	// ContentType is the media type of the encoding (RFC 9110, section
	// 8.3), as it stands in a content-type header. It never changes.
	ContentType() string
}

// Error says which value could not be encoded or decoded, and why. Every error
// of this package's codecs is an *Error.
type Error struct {
	Op   string // "encode" or "decode"
	Type string // the Go type, such as "main.Reading"
	Err  error  // the cause
}

// Error returns "codec: decode main.Reading: " and the cause.
func (e *Error) Error() string {
	return "codec: " + e.Op + " " + e.Type + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

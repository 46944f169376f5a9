package heartbeat

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	jsoniter "github.com/json-iterator/go"
)

// Limits of a beat. A valid beat never exceeds MaxSize when it is encoded.
const (
	MaxSize      = 64 << 10 // bytes of an encoded beat
	MaxEndpoints = 64
	MaxEndpoint  = 400 // bytes of one endpoint
	MinInterval  = time.Millisecond
	MaxInterval  = 24 * time.Hour
)

var (
	// ErrInvalid is wrapped by every error about a malformed beat, name,
	// source or topic.
	ErrInvalid = errors.New("heartbeat: invalid")

	// ErrVersion is wrapped by the error of Decode for a beat of a version
	// that this package does not know. Such a beat is a sign of life all the
	// same: give it to [Monitor.Seen].
	ErrVersion = errors.New("heartbeat: unknown version")
)

// version is the one that Append writes and Decode reads.
const version = 1

// Beat is what a publisher says about itself at every interval. It is sent as
// JSON, so that a person can read it.
type Beat struct {
	// Name of the publisher, as ValidateName wants it.
	Name string

	// Incarnation is the publisher's incarnation, never zero.
	Incarnation Incarnation

	// Seq is the sequence number of the last event that the source has
	// published on any topic; 0 when there was none yet.
	Seq uint64

	// Interval is the time to the next beat, MinInterval to MaxInterval in
	// whole milliseconds. Append rounds to the nearest.
	Interval time.Duration

	// Started is when the source started, by the publisher's wall clock; the
	// zero time if it does not say. Only for people to read: no decision
	// hangs on it. Years 0 to 9999.
	Started time.Time

	// Endpoints are the places where else the same stream can be had, at most
	// MaxEndpoints, each of 1 to MaxEndpoint bytes of UTF-8 without control
	// characters. Whether they can be dialled is for the dialler to say.
	Endpoints []string

	// Bye is true in the last beat of a source, at a clean close.
	Bye bool
}

// wire is a beat in JSON, but for its version. A script may well write the
// interval with a fraction (500.0).
type wire struct {
	Name        string   `json:"name"`
	Incarnation string   `json:"source"`
	Seq         uint64   `json:"seq"`
	IntervalMS  float64  `json:"interval_ms"`
	Started     string   `json:"started"`
	Endpoints   []string `json:"endpoints"`
	Bye         bool     `json:"bye"`
}

// api reads names of fields exactly and writes no HTML escapes: it is for
// people, not for browsers.
var api = jsoniter.Config{CaseSensitive: true}.Froze()

// Validate returns nil if b can be sent, and otherwise an error that names every
// bad field and wraps [ErrInvalid].
func (b *Beat) Validate() error {
	var source error
	if b.Incarnation == 0 {
		source = fmt.Errorf("%w source: zero is no source", ErrInvalid)
	}
	return errors.Join(ValidateName(b.Name), source,
		checkInterval(float64(b.Interval)/float64(time.Millisecond)),
		checkStarted(b.Started), checkEndpoints(b.Endpoints))
}

func checkInterval(ms float64) error {
	const least, most = MinInterval / time.Millisecond, MaxInterval / time.Millisecond
	if ms < float64(least) || ms > float64(most) {
		return fmt.Errorf("%w interval_ms %v: use %d to %d", ErrInvalid, ms, least, most)
	}
	return nil
}

func checkStarted(t time.Time) error {
	if y := t.UTC().Year(); y < 0 || y > 9999 {
		return fmt.Errorf("%w started: year %d cannot be written in RFC 3339", ErrInvalid, y)
	}
	return nil
}

// checkEndpoints names the first bad endpoint only: there may be many, and they
// are a peer's words.
func checkEndpoints(endpoints []string) error {
	if n := len(endpoints); n > MaxEndpoints {
		return fmt.Errorf("%w endpoints: %d are too many, send at most %d", ErrInvalid, n, MaxEndpoints)
	}
	for i, e := range endpoints {
		if !validEndpoint(e) {
			return fmt.Errorf("%w endpoints: number %d, %.60q, is not 1 to %d bytes of UTF-8 without control characters",
				ErrInvalid, i, e, MaxEndpoint)
		}
	}
	return nil
}

func validEndpoint(e string) bool {
	if e == "" || len(e) > MaxEndpoint || !utf8.ValidString(e) {
		return false
	}
	for i := range len(e) {
		if e[i] < ' ' || e[i] == 0x7f {
			return false
		}
	}
	return true
}

// Append appends the JSON of b to dst and returns the extended slice. b must be
// valid; what is written for any other is not specified.
func (b *Beat) Append(dst []byte) []byte {
	s := jsoniter.NewStream(api, nil, 0)
	s.SetBuffer(dst)
	s.WriteRaw(`{"v":1,"name":`)
	s.WriteString(b.Name)
	s.WriteRaw(`,"source":"`)
	s.SetBuffer(b.Incarnation.append(s.Buffer()))
	s.WriteRaw(`","seq":`)
	s.WriteUint64(b.Seq)
	s.WriteRaw(`,"interval_ms":`)
	s.WriteInt64(b.Interval.Round(time.Millisecond).Milliseconds())
	if !b.Started.IsZero() {
		s.WriteRaw(`,"started":"`)
		s.SetBuffer(b.Started.UTC().AppendFormat(s.Buffer(), time.RFC3339Nano))
		s.WriteRaw(`"`)
	}
	s.WriteRaw(`,"endpoints":[`)
	for i, e := range b.Endpoints {
		if i > 0 {
			s.WriteMore()
		}
		s.WriteString(e)
	}
	s.WriteRaw(`],"bye":`)
	s.WriteBool(b.Bye)
	s.WriteObjectEnd()
	return s.Buffer()
}

// Decode reads a beat. It keeps no reference to data.
//
// The fields v, name, source and interval_ms must be there; the others have the
// zero value when they are not, and unknown ones are ignored. So a field can be
// added without a new version, a new version means that known fields changed
// their meaning, and Decode refuses any but 1 with [ErrVersion] rather than
// misread it. interval_ms may have a fraction, which is rounded.
//
// Every other error wraps [ErrInvalid] and names every bad field.
func Decode(data []byte) (Beat, error) {
	if len(data) > MaxSize {
		return Beat{}, fmt.Errorf("%w beat: %d bytes are more than %d", ErrInvalid, len(data), MaxSize)
	}
	// json-iterator lets some malformed documents pass, such as one with a
	// NUL and anything after it.
	if !json.Valid(data) {
		return Beat{}, fmt.Errorf("%w beat: %.60q is not JSON", ErrInvalid, data)
	}
	// The version comes first: another one may have other types.
	var head struct {
		V float64 `json:"v"`
	}
	if err := api.Unmarshal(data, &head); err != nil {
		return Beat{}, fmt.Errorf("%w beat: %w", ErrInvalid, err)
	}
	switch head.V {
	case version:
	case 0:
		return Beat{}, fmt.Errorf("%w beat: v is missing or 0", ErrInvalid)
	default:
		return Beat{}, fmt.Errorf("%w %v: this program reads version %d", ErrVersion, head.V, version)
	}
	var w wire
	if err := api.Unmarshal(data, &w); err != nil {
		return Beat{}, fmt.Errorf("%w beat: %w", ErrInvalid, err)
	}
	source, sourceErr := ParseIncarnation(w.Incarnation)
	started, startedErr := time.Time{}, error(nil)
	if w.Started != "" {
		var err error
		if started, err = time.Parse(time.RFC3339, w.Started); err != nil {
			startedErr = fmt.Errorf("%w started %.40q: write a time of RFC 3339", ErrInvalid, w.Started)
		} else {
			startedErr = checkStarted(started)
		}
	}
	// A missing interval_ms is 0, and as wrong as that.
	err := errors.Join(ValidateName(w.Name), sourceErr, checkInterval(w.IntervalMS),
		startedErr, checkEndpoints(w.Endpoints))
	if err != nil {
		return Beat{}, err
	}
	return Beat{
		Name:        w.Name,
		Incarnation: source,
		Seq:         w.Seq,
		Interval:    time.Duration(math.Round(w.IntervalMS)) * time.Millisecond,
		Started:     started,
		Endpoints:   w.Endpoints,
		Bye:         w.Bye,
	}, nil
}

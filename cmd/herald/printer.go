package main

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/heraldbus/herald/bus"
)

// printer puts events and statuses into lines.
type printer struct {
	json bool

	// The last origin and what it is in JSON: most events have the origin of the
	// one before.
	origin       bus.Origin
	who, whereTo []byte
}

// message appends the line of an event.
func (p *printer) message(dst []byte, m *bus.Message) []byte {
	if !p.json {
		dst = appendText(dst, m.Topic)
		dst = append(dst, '\t')
		dst = appendText(dst, m.Payload)
		return append(dst, '\n')
	}
	if p.whereTo == nil || p.origin != m.Origin {
		p.origin = m.Origin
		p.who = appendWho(p.who[:0], m.Origin)
		p.whereTo = appendJSON(append(p.whereTo[:0], `,"endpoint":`...), m.Endpoint)
	}
	dst = append(dst, `{"topic":`...)
	dst = appendJSON(dst, m.Topic)
	if !valid(m.Topic) {
		dst = append(dst, `,"topic_base64":`...)
		dst = appendBase64(dst, []byte(m.Topic))
	}
	if valid(m.Payload) {
		dst = append(dst, `,"payload":`...)
		dst = appendJSON(dst, m.Payload)
	} else {
		dst = append(dst, `,"payload_base64":`...)
		dst = appendBase64(dst, m.Payload)
	}
	for i, frame := range m.Extra {
		dst = appendNext(dst, i, `,"extra_base64":[`)
		dst = appendBase64(dst, frame)
	}
	if len(m.Extra) > 0 {
		dst = append(dst, ']')
	}
	dst = append(dst, p.who...)
	if m.Seq > 0 {
		dst = append(dst, `,"seq":`...)
		dst = strconv.AppendUint(dst, m.Seq, 10)
	}
	if !m.Time.IsZero() {
		dst = appendTime(dst, m.Time)
	}
	dst = append(dst, p.whereTo...)
	headers := m.Headers()
	for i, h := range headers {
		dst = appendNext(dst, i, `,"headers":{`)
		dst = appendJSON(dst, h.Key)
		dst = append(dst, ':')
		dst = appendJSON(dst, h.Value)
	}
	if len(headers) > 0 {
		dst = append(dst, '}')
	}
	if m.Replayed {
		dst = append(dst, `,"replayed":true`...)
	}
	if m.Retained {
		dst = append(dst, `,"retained":true`...)
	}
	return append(dst, "}\n"...)
}

// status appends the line of a status.
func (p *printer) status(dst []byte, st bus.Status) []byte {
	if !p.json {
		// Every line begins with the kind; some descriptions do so by themselves.
		kind, text := st.Kind(), st.String()
		if !strings.HasPrefix(text, kind) {
			dst = append(append(dst, kind...), ": "...)
		}
		return append(appendText(dst, text), '\n')
	}
	origin, at := st.About()
	dst = append(dst, `{"status":`...)
	dst = appendJSON(dst, st.Kind())
	dst = appendWho(dst, origin)
	if origin.Endpoint != "" {
		dst = appendMember(dst, "endpoint", origin.Endpoint)
	}
	dst = appendTime(dst, at)
	switch st := st.(type) {
	case *bus.Connected:
		dst = appendMember(dst, "remote", st.Remote)
	case *bus.Disconnected:
		if st.Err != nil {
			dst = appendMember(dst, "error", st.Err.Error())
		}
	case *bus.Stale:
		dst = appendNumber(dst, "silence_ms", uint64(st.Silence.Milliseconds()))
	case *bus.Recovered:
		dst = appendNumber(dst, "silence_ms", uint64(st.Silence.Milliseconds()))
	case *bus.Restarted:
		dst = appendMember(dst, "was", st.Was.String())
	case *bus.Switched:
		dst = appendMember(dst, "from", st.From)
		dst = appendMember(dst, "to", st.To)
	case *bus.Gap:
		dst = appendNumber(dst, "missed", st.Missed)
		if st.Exact {
			dst = append(dst, `,"exact":true`...)
		}
		if st.Topic != "" {
			dst = appendMember(dst, "topic", st.Topic)
		}
		if st.After > 0 {
			dst = appendNumber(dst, "after", st.After)
		}
		if st.Before > 0 {
			dst = appendNumber(dst, "before", st.Before)
		}
	}
	return append(dst, "}\n"...)
}

// appendWho appends the members that name a publisher, where they are known.
func appendWho(dst []byte, o bus.Origin) []byte {
	if o.Publisher != "" {
		dst = appendMember(dst, "publisher", o.Publisher)
	}
	if o.Incarnation != 0 {
		dst = appendMember(dst, "source", o.Incarnation.String())
	}
	return dst
}

func appendMember(dst []byte, name, value string) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	dst = append(dst, `":`...)
	return appendJSON(dst, value)
}

func appendNumber(dst []byte, name string, value uint64) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	dst = append(dst, `":`...)
	return strconv.AppendUint(dst, value, 10)
}

func appendTime(dst []byte, t time.Time) []byte {
	dst = append(dst, `,"time":"`...)
	dst = t.UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

func appendBase64(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// appendNext appends what comes before the i-th element: open, or a comma.
func appendNext(dst []byte, i int, open string) []byte {
	if i == 0 {
		return append(dst, open...)
	}
	return append(dst, ',')
}

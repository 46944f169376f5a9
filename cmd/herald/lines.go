package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxLine is the longest line of input: what a subscriber takes as one frame
// unless its limits are others.
const maxLine = 64 << 20

// errLongLine is wrapped by the error for a line that is too long. The lines after
// it can still be read.
var errLongLine = errors.New("the line is too long")

// lines reads lines of bounded length.
type lines struct {
	r    *bufio.Reader
	most int
	n    int // lines read so far
	long []byte
}

func newLines(r io.Reader, most int) *lines {
	return &lines{r: bufio.NewReaderSize(r, 256<<10), most: most}
}

// next returns the next line without its end. It is valid until the next call.
// The last line need not have an end.
func (l *lines) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		line, err = l.rest(line)
	}
	if err != nil && (err != io.EOF || len(line) == 0) {
		return nil, err
	}
	l.n++
	line = bytes.TrimSuffix(line, []byte("\n"))
	if len(line) > l.most {
		return nil, fmt.Errorf("%w: at most %d bytes are allowed", errLongLine, l.most)
	}
	return line, nil
}

// rest gathers a line that is longer than the reader's buffer. Of one that is too
// long it keeps only as much as shows that.
func (l *lines) rest(part []byte) ([]byte, error) {
	l.long = append(l.long[:0], part...)
	for {
		part, err := l.r.ReadSlice('\n')
		if len(l.long) <= l.most {
			l.long = append(l.long, part...)
		}
		if err != bufio.ErrBufferFull {
			return l.long, err
		}
	}
}

// event is what a line of input says.
type event struct {
	topic   string
	payload []byte // part of the line
}

// parseEvent reads TOPIC, a space or a tab, PAYLOAD.
func parseEvent(line []byte) (event, error) {
	i := bytes.IndexAny(line, " \t")
	if i < 0 {
		return event{}, fmt.Errorf("no space or tab after the topic in %.100q", line)
	}
	return event{string(line[:i]), line[i+1:]}, nil
}

// rate is a flag that is a number of events a second.
type rate float64

// String implements [flag.Value].
func (r *rate) String() string { return strconv.FormatFloat(float64(*r), 'g', -1, 64) }

// Set implements [flag.Value].
func (r *rate) Set(s string) error {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v > 0 && v <= 1e9) {
		return errors.New("want a number of events a second, above 0")
	}
	*r = rate(v)
	return nil
}

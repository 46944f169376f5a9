package main

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/heraldbus/herald/bus"
	"github.com/heraldbus/herald/codec"
	"github.com/heraldbus/herald/topic"
)

// Reading is what a station has measured. It travels as JSON on the topic
// weather.STATION.
type Reading struct {
	Station     string    `json:"station"` // such as north.oslo
	Time        time.Time `json:"time"`
	Temperature float64   `json:"temperature"` // °C
	Humidity    float64   `json:"humidity"`    // relative, in %
}

// Readings is the family of topics that both sides share.
var Readings = bus.NewTopic("weather", codec.JSON[Reading]())

//go:embed readings.csv
var sample []byte

// load reads a file of readings; an empty path stands for those that come with the
// example.
func load(path string) ([]Reading, error) {
	if path == "" {
		return parse("readings.csv", bytes.NewReader(sample))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parse(path, f)
}

var columns = []string{"station", "time", "temperature", "humidity"}

// maxProblems is how many mistakes are reported before the rest of a file is left
// alone: after that many it is probably not what it was taken for.
const maxProblems = 10

// parse reads CSV with a header. Its error names file, line and column of each
// mistake.
func parse(file string, r io.Reader) ([]Reading, error) {
	in := csv.NewReader(r)
	in.FieldsPerRecord = len(columns)
	header, err := in.Read()
	if err == io.EOF {
		return nil, fmt.Errorf("%s:1:1: the file is empty, want the header %s", file, strings.Join(columns, ","))
	}
	if err != nil {
		return nil, located(file, err)
	}
	if !slices.Equal(header, columns) {
		return nil, fmt.Errorf("%s:1:1: the header is %q, want %s", file, header, strings.Join(columns, ","))
	}

	var readings []Reading
	var problems []error
	for len(problems) < maxProblems {
		fields, err := in.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			problems = append(problems, located(file, err))
			if !errors.Is(err, csv.ErrFieldCount) {
				break // quotes are open: whatever follows would be misread
			}
			continue
		}
		var reading Reading
		for i, read := range []func(string) error{
			reading.setStation,
			reading.setTime,
			func(s string) error { return within(&reading.Temperature, s, -100, 70) },
			func(s string) error { return within(&reading.Humidity, s, 0, 100) },
		} {
			if err := read(fields[i]); err != nil {
				line, column := in.FieldPos(i)
				problems = append(problems, fmt.Errorf("%s:%d:%d: %s: %w", file, line, column, columns[i], err))
			}
		}
		readings = append(readings, reading)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if len(readings) == 0 {
		return nil, fmt.Errorf("%s:2:1: there is no reading after the header", file)
	}
	return readings, nil
}

// located puts an error of the CSV reader into the form of the others.
func located(file string, err error) error {
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("%s:%d:%d: want %d fields: %w", file, e.Line, e.Column, len(columns), e.Err)
	}
	return fmt.Errorf("%s: %w", file, err)
}

func (r *Reading) setStation(s string) error {
	r.Station = s
	return topic.Validate(Readings.Name() + "." + s) // or it could not be published
}

func (r *Reading) setTime(s string) (err error) {
	r.Time, err = time.Parse(time.RFC3339, s)
	return err
}

// within reads a number and refuses what no instrument on Earth has ever shown.
func within(v *float64, s string, least, most float64) (err error) {
	if *v, err = strconv.ParseFloat(s, 64); err != nil {
		return err
	}
	if !(least <= *v && *v <= most) { // this way NaN is refused too
		return fmt.Errorf("%s is not within %v to %v", s, least, most)
	}
	return nil
}

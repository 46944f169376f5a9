package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/heraldbus/herald/bus"
)

// The story at three times its speed.
func TestStory(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := tell(t.Context(), &out, 100*time.Millisecond)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	inOrder(t, out.String(),
		"subscriber   wants weather.> except weather.south.madrid",
		"story        north freezes",
		"north        stale: silent for ",
		"north-spare  failover: takes over from north\n",
		"story        north comes back",
		"north        recovered after ",
		"north        failover: takes over from north-spare\n",
		"story        south crashes",
		"south        disconnected: ",
		"south        restarted: incarnation ",
		"south        ready",
		"story        west closes",
		"west         gone: it said goodbye",
		"station ", "north.oslo ", "south.rome ", "west.paris ",
		"readings of 8 stations",
		"everything happened as it should",
	)
	if strings.Contains(out.String(), "\nsouth.madrid") {
		t.Errorf("south.madrid got through the filter:\n%s", &out)
	}
}

func TestStoryInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancelCause(t.Context())
	var out bytes.Buffer
	err := tell(ctx, writer(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte(" ready: ")) {
			interrupt(errors.New("interrupt"))
		}
		return out.Write(p)
	}), 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, out.String(), "ends early: interrupt", "statuses: ")
	if strings.Contains(out.String(), "everything happened") {
		t.Errorf("an interrupted story claims to be whole:\n%s", &out)
	}
}

// What does not happen is an error that says so.
func TestPatience(t *testing.T) {
	t.Parallel()
	s := &stage{beat: time.Minute, patience: 10 * time.Millisecond, narrator: newNarrator(t.Output())}
	s.names = make(map[string]string)
	defer s.close()
	pub, err := s.open("dumb")
	if err != nil {
		t.Fatal(err)
	}
	s.sub, err = bus.NewSubscriber(bus.SubscriberConfig{Sources: []bus.Source{bus.From(pub.Endpoints()[0])}})
	if err != nil {
		t.Fatal(err)
	}
	err = s.readings(t.Context(), 1, "dumb")
	const want = "this did not happen within 10ms: 1 readings each from dumb"
	if err == nil || err.Error() != want {
		t.Fatalf("got %v, want %s", err, want)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// inOrder checks that the text has all parts, one after the other.
func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, ok := strings.Cut(rest, part)
		if !ok {
			t.Fatalf("%q is missing, or not in its place, in\n%s", part, text)
		}
		rest = after
	}
}

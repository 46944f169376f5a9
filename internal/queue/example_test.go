package queue_test

import (
	"fmt"

	"github.com/heraldbus/herald/internal/queue"
	"github.com/heraldbus/herald/internal/zmtp"
)

// The publisher encodes into its log and pushes; who gets the claim writes until
// nothing is left.
func Example() {
	var log queue.Log
	defer log.Close()
	q := queue.New(queue.Limit{Messages: 1000, Bytes: 1 << 20, Overflow: queue.DropOldest}, zmtp.Skip)

	claimed := false
	for _, event := range []string{"one", "two", "three"} {
		msg := zmtp.AppendMessage(nil, []byte(event))
		b, lo := log.Reserve(len(msg))
		copy(b.B[lo:], msg)
		if q.Push(b, lo, lo+len(msg)) == queue.Claimed {
			claimed = true
		}
	}

	var spans []queue.Span
	for claimed {
		spans = q.Take(spans[:0], 256<<10)
		claimed = len(spans) > 0
		for _, s := range spans {
			fmt.Printf("%d messages in one write: %q\n", s.Count, s.Bytes())
		}
		q.Done(spans, true)
	}
	fmt.Println(q.Stats().SentMessages, "sent")
	// Output:
	// 3 messages in one write: "\x00\x03one\x00\x03two\x00\x05three"
	// 3 sent
}

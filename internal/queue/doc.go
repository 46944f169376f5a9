// Package queue is what stands between a publisher and one of its peers: a
// bounded queue of encoded messages, with a policy for when it is full and a
// count of everything that it did not keep.
//
// The queue has no goroutine and waits for nothing. Whoever pushes into an idle
// queue gets the claim on it ([Claimed]) and must see to it that it is written:
// inline, or by starting a goroutine. The holder of the claim calls Take and
// Done in turn until Take returns nothing, which gives the claim back. So an
// idle peer costs no goroutine and a busy one is written by one goroutine at a
// time, which takes all that is there at once.
//
// Messages are references into blocks ([Span]). Neighbours in a block are one
// span, so a peer that gets every event of a publisher is served by few large
// writes out of memory that all such peers share, however far they lag behind. A
// small message without such neighbours is copied to a block of the queue's own:
// otherwise one event of a hundred bytes could keep 64 KiB alive.
//
// All methods of a Queue are safe for concurrent use, but for Take and Done, which
// belong to the holder of the claim. A [Log] is its publisher's alone.
package queue

// Package subtrie tells which peers want a topic: a trie of the prefixes that
// peers have subscribed to.
//
// A subscription is a prefix of the topic, counted as ZeroMQ does it: subscribed
// twice, it takes two cancels to end. Cancelling everything that was added leaves
// the trie as it was, with nothing kept of what went.
//
// Prefixes come from peers, which may be hostile. Adding and removing one takes
// time in proportion to its length, and to the number of its subscribers for the
// few bytes each of moving a list; memory is bounded by some 250 bytes for each
// subscription and twice the length of its prefix. There is no recursion. How
// many prefixes, and of which length, a peer may have is for the user of the
// package to decide: Count says what it has.
//
// The package starts no goroutine, opens no socket and reads no clock. A Trie is
// not safe for concurrent use, not even Match alone: its owner's lock guards it.
package subtrie

// Package codec turns values into payloads and payloads into values.
//
// A [Codec] is what a typed topic is made of: [JSON] for any Go type, [Text]
// for strings, [Bytes] for payloads that are bytes already. Other formats live
// in packages of their own, so that nobody links a format that he does not
// use; a codec of your own is a type with the three methods.
//
// # Concurrency and ownership
//
// Codecs have no state that a user can see and are safe for concurrent use;
// they start no goroutine and never block. Append borrows v only during the
// call and writes nothing but the bytes it appends. Decode borrows data only
// during the call: the value it returns shares no memory with data, which the
// caller may change or reuse at once.
//
// # Payloads come from anybody
//
// Decode is made for bytes that a stranger sent: it never panics by itself
// and needs memory in proportion to the payload, whose size the transport
// bounds. (What the methods of a user's own type do is the user's.) Append
// trusts its value as encoding/json does, but for the one thing named at [JSON].
package codec

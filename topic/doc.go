// Package topic has the names that events are published under, the filters
// that choose among them, the prefixes a filter asks of a ZeroMQ publisher, and
// the table that finds the handlers of a topic.
//
// # Names
//
// A name is 1 to 255 bytes of UTF-8, segments separated by dots: alerts,
// weather.eu.paris. No segment is empty or is one of the wildcards * and >, and
// there are no control characters. Names that begin with "$bus." belong to
// Herald. Validate holds a name against all of this.
//
// Publishers that are not Herald's may use any bytes as a topic. Every filter
// can be asked about any bytes: a segment is what lies between two dots, and in
// such a foreign topic it may be empty.
//
// # Filters
//
// A Filter says yes or no to a topic:
//
//	Prefix("weather.eu")      whatever begins with these bytes, as ZeroMQ does it
//	Exact("alerts")           this topic alone
//	Pattern("weather.*.temp") * is one whole segment
//	Pattern("weather.>")      > is one or more segments, at the end only
//	All(f, g), Any(f, g)      both, at least one
//	Not(f), f.Except(g)       not f; f but not g
//
// weather.> does not accept weather: > stands for one segment at least.
//
// # Text of a filter
//
// Parse reads the text that Filter.String prints, and what people type:
//
//	weather.eu.> except weather.eu.test.>
//	alerts or weather.*.paris
//	prefix weather.eu and not "my topic"
//
// The grammar, in the notation of the Go specification:
//
//	Filter  = [ Except ] .                          // no text: everything
//	Except  = Or { "except" Or } .
//	Or      = And { ( "or" | "|" ) And } .
//	And     = Unary { ( "and" | "&" ) Unary } .
//	Unary   = { "not" } ( "(" Except ")" | Atom ) .
//	Atom    = Word                                  // Pattern if it has * or >, else Exact
//	        | Quoted                                // Exact, of any bytes
//	        | "prefix" ( Word | Quoted )            // Prefix
//	        | "pattern" ( Word | Quoted ) .         // Pattern
//
// So except binds least: "a or b except c or d" is "(a or b) except (c or d)",
// and "a except b except c" is "a except (b or c)".
//
// A Quoted is a Go string literal in double quotes: "\x00\xff", "a b". A Word is
// a run of printable characters other than spaces and ( ) | & " ' ` , ; ! \.
// Standing alone it has to be a name or a pattern by the rules above, and after
// prefix it has no * or >: what breaks the rules, and the names or, and, not,
// except, prefix and pattern, are written in quotes. So a slip of the keyboard
// is an error that says where, not a filter that matches nothing. Keywords are
// in lower case. ">" is everything and "not >" is nothing.
//
// Text is at most 1 MiB long (MaxText) and parentheses nest at most 64 deep
// (MaxDepth). A program that reads filters from strangers will want to allow
// less than that.
//
// # Routing
//
// Routes is an immutable list of filters and handlers; Table remembers, per
// topic, which handlers accept it and a state of its user's.
//
// # Concurrency
//
// The package starts no goroutine, opens no socket and reads no clock. Filter
// and *Routes are immutable and safe for concurrent use. A Table has one owner
// at a time.
package topic

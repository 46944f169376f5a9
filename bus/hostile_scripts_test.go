package bus_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
)

// script is what a rogue sends.
type script struct {
	name   string
	greets bool // after a proper handshake
	bytes  func() []byte
	times  int  // how often that is sent; 0: once
	heavy  bool // too large to be played many times
	end    ending
}

// ending is what must become of the connection.
type ending int

const (
	shut ending = iota // the victim closes it
	cut                // the rogue ends its side, and then the victim closes it
	kept               // it works on, and the victim still answers
)

func text(s string) func() []byte { return func() []byte { return []byte(s) } }

// scaled is n, and less where everything takes long. Both processes agree on it.
func scaled(n int) int {
	if raceEnabled {
		return max(n/10, 1)
	}
	return n
}

func repeat(n int, f func(i int) string) func() []byte {
	return func() []byte {
		var b bytes.Buffer
		for i := range scaled(n) {
			b.WriteString(f(i))
		}
		return b.Bytes()
	}
}

// greeting is RFC 23's.
func greeting(major byte, mechanism string, asServer byte) string {
	b := make([]byte, 64)
	b[0], b[9], b[10], b[11], b[32] = 0xff, 0x7f, major, 1, asServer
	copy(b[12:32], mechanism)
	return string(b)
}

// short is the frame of a body of up to 255 bytes, long the header of any.
func short(flags byte, body string) string {
	return string([]byte{flags, byte(len(body))}) + body
}

func long(flags byte, size uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{flags | 2}, size)
}

func frameOf(flags byte, body string) string { return string(long(flags, uint64(len(body)))) + body }

func command(name, data string) []byte {
	return []byte(frameOf(4, string(rune(len(name)))+name+data))
}

// property has the length that it says, where that is not negative.
func property(name, value string, says int) string {
	if says < 0 {
		says = len(value)
	}
	return string(rune(len(name))) + name + string(binary.BigEndian.AppendUint32(nil, uint32(says))) + value
}

func handshake(socket string) []byte {
	return append([]byte(greeting(3, "NULL", 0)), command("READY", property("Socket-Type", socket, -1))...)
}

// handshakes are those that go wrong, and a few that look as if they should.
func handshakes(socket string) []script {
	hello, kind := greeting(3, "NULL", 0), property("Socket-Type", socket, -1)
	ready := func(data string) string { return hello + string(command("READY", data)) }
	huge := func(flags byte, size uint64) func() []byte { return text(hello + string(long(flags, size))) }
	return []script{
		{name: "nothing", bytes: text(""), end: cut},
		{name: "HTTP", bytes: text("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		{name: "TLS", bytes: text("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
		{name: "SSH", bytes: text("SSH-2.0-OpenSSH_9.2\r\n")},
		{name: "zeros", bytes: text(strings.Repeat("\x00", 100))},
		{name: "ones", bytes: text(strings.Repeat("\xff", 100))},
		{name: "ZMTP 1", bytes: text("\x01\x00")},
		{name: "ZMTP 1 with an identity", bytes: text("\x06\x00peer!")},
		{name: "ZMTP 2", bytes: text("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01\x02\x00\x00")},
		{name: "ZMTP of no version", bytes: text(greeting(0, "NULL", 0))},
		{name: "another end of the signature", bytes: text("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7e" + hello[10:])},
		{name: "PLAIN", bytes: text(greeting(3, "PLAIN", 0))},
		{name: "CURVE", bytes: text(greeting(3, "CURVE", 0))},
		{name: "no mechanism", bytes: text(greeting(3, "", 0))},
		{name: "mechanism of ones", bytes: text(greeting(3, strings.Repeat("\xff", 20), 0))},
		{name: "mechanism behind its end", bytes: text(greeting(3, "NULL\x00X", 0))},
		{name: "as-server 2", bytes: text(greeting(3, "NULL", 2))},
		{name: "10 bytes of a greeting", bytes: text(hello[:10]), end: cut},
		{name: "63 bytes of a greeting", bytes: text(hello[:63]), end: cut},
		{name: "greeting alone", bytes: text(hello), end: cut},
		{name: "greeting twice", bytes: text(hello + hello)},
		{name: "READY body 01", bytes: text(hello + "\x04\x01\x01")},
		{name: "READY body 00", bytes: text(hello + "\x04\x01\x00")},
		{name: "empty command", bytes: text(hello + "\x04\x00")},
		{name: "name longer than its command", bytes: text(hello + "\x04\x03\x05RE")},
		{name: "name of no letters", bytes: text(hello + string(command("\x00\x01", "")))},
		{name: "READY without Socket-Type", bytes: text(ready(""))},
		{name: "READY with an Identity only", bytes: text(ready(property("Identity", "x", -1)))},
		{name: "DISH", bytes: text(ready(property("Socket-Type", "DISH", -1)))},
		{name: "the same role", bytes: text(ready(property("Socket-Type", map[string]string{"SUB": "PUB", "PUB": "SUB"}[socket], -1)))},
		{name: "Socket-Type of nothing", bytes: text(ready(property("Socket-Type", "", -1)))},
		{name: "Socket-Type of ones", bytes: text(ready(property("Socket-Type", strings.Repeat("\xff", 300), -1)))},
		{name: "Socket-Type twice", bytes: text(ready(kind + kind))},
		{name: "Identity twice", bytes: text(ready(kind + property("Identity", "a", -1) + property("identity", "b", -1)))},
		{name: "Identity of 256 bytes", bytes: text(ready(kind + property("Identity", strings.Repeat("x", 256), -1)))},
		{name: "33 properties", bytes: text(ready(kind + strings.Repeat(property("X", "", -1), 32)))},
		{name: "READY of 64 KiB", bytes: text(ready(kind + property("X", strings.Repeat("x", 64<<10), -1)))},
		{name: "property without a name", bytes: text(ready(kind + property("", "x", -1)))},
		{name: "property of a bad name", bytes: text(ready(kind + property("a b", "x", -1)))},
		{name: "property name beyond the end", bytes: text(ready(kind + "\xffX"))},
		{name: "property without a value", bytes: text(ready(kind + "\x01X"))},
		{name: "property value of 2^31 bytes", bytes: text(ready(kind + property("X", "x", 1<<31)))},
		{name: "property value of 2^32-1 bytes", bytes: text(ready(kind + property("X", "x", math.MaxUint32)))},
		{name: "command of 2^31 bytes", bytes: huge(4, 1<<31)},
		{name: "command of 1 TiB", bytes: huge(4, 1<<40)},
		{name: "command of 2^62 bytes", bytes: huge(4, 1<<62)},
		{name: "command of 2^64-1 bytes", bytes: huge(4, math.MaxUint64)},
		{name: "message of 1 TiB for READY", bytes: huge(0, 1<<40)},
		{name: "message for READY", bytes: text(hello + short(0, "\x01topic"))},
		{name: "READY with MORE", bytes: text(hello + frameOf(5, "\x05READY"+kind))},
		{name: "READY with reserved bits", bytes: text(hello + short(0x84, "\x05READY"+kind))},
		{name: "ERROR for READY", bytes: text(hello + string(command("ERROR", "\x03no!")))},
		{name: "ERROR with a wrong length", bytes: text(hello + string(command("ERROR", "\xffno!")))},
		{name: "HELLO for READY", bytes: text(hello + string(command("HELLO", strings.Repeat("x", 200))))},
		{name: "PING for READY", bytes: text(hello + string(command("PING", "\x00\x00")))},
		{name: "SUBSCRIBE for READY", bytes: text(hello + string(command("SUBSCRIBE", "a")))},
		{name: "half of READY", bytes: text(ready(kind)[:80]), end: cut},
		{name: "READY with a short header", bytes: text(hello + short(4, "\x05READY"+kind)), end: kept},
		{name: "READY in small letters", bytes: text(ready(property("socket-TYPE", socket, -1))), end: kept},
		{name: "READY of 32 properties", bytes: text(ready(kind + strings.Repeat(property("X", "", -1), 31))), end: kept},
	}
}

// frames are what either role may get after the handshake.
var frames = []script{
	{name: "frame of 1 TiB", bytes: func() []byte { return long(0, 1<<40) }},
	{name: "frame of 2^62 bytes", bytes: func() []byte { return long(0, 1<<62) }},
	{name: "frame of 2^63 bytes", bytes: func() []byte { return long(0, 1<<63) }},
	{name: "frame of 2^64-1 bytes", bytes: func() []byte { return long(0, math.MaxUint64) }},
	{name: "frame of 2^62 bytes with MORE", bytes: func() []byte { return long(1, 1<<62) }},
	{name: "frame a byte too long", bytes: func() []byte { return long(0, 64<<20+1) }},
	{name: "command of 2^62 bytes later", bytes: func() []byte { return long(4, 1<<62) }},
	{name: "command of 1 TiB later", bytes: func() []byte { return long(4, 1<<40) }},
	{name: "command with MORE", bytes: text(short(5, "\x04PING\x00\x00"))},
	{name: "reserved bit 3", bytes: text(short(0x08, "x"))},
	{name: "reserved bit 7", bytes: text(short(0x80, "x"))},
	{name: "all bits", bytes: text(strings.Repeat("\xff", 20))},
	{name: "command without a name", bytes: text("\x04\x00")},
	{name: "command with an empty name", bytes: text(short(4, "\x00xyz"))},
	{name: "command name beyond the end", bytes: text(short(4, "\x20PING"))},
	{name: "a second greeting", bytes: text(greeting(3, "NULL", 0))},
	{name: "HTTP after all", bytes: text("GET / HTTP/1.1\r\n\r\n")},
	{name: "endless MORE", bytes: text(strings.Repeat(short(1, "x"), 1000))},
	{name: "endless empty MORE", bytes: text(strings.Repeat("\x01\x00", 1000))},
	{name: "commands without end in a message", bytes: text(short(1, "x") + strings.Repeat(short(4, "\x04PING\x00\x00"), 100))},
	{name: "endless MORE of 60 KiB", times: 100, heavy: true, bytes: func() []byte { return []byte(frameOf(1, strings.Repeat("x", 60<<10))) }},
	{name: "ERROR", bytes: text(string(command("ERROR", "\x03400")))},
	{name: "half of a frame", bytes: text("\x00\x09topic"), end: cut},
	{name: "half of a header", bytes: text("\x02\x00\x00"), end: cut},
	{name: "half of a message", bytes: text(short(1, "topic")), end: cut},

	{name: "empty message", bytes: text("\x00\x00"), end: kept},
	{name: "empty frames", bytes: text("\x01\x00\x01\x00\x00\x00"), end: kept},
	{name: "message of 64 frames", bytes: text(strings.Repeat(short(1, "x"), 63) + short(0, "x")), end: kept},
	{name: "short frames in long headers", bytes: repeat(100, func(int) string { return frameOf(0, "\x02x") }), end: kept},
	{name: "another READY", bytes: func() []byte { return command("READY", property("Socket-Type", "DISH", -1)) }, end: kept},
	{name: "unknown commands", bytes: repeat(1000, func(int) string { return string(command("WHATEVER", "x")) }), end: kept},
	{name: "PONGs for no PING", bytes: repeat(1000, func(int) string { return string(command("PONG", "x")) }), end: kept},
	{name: "PING of no TTL", bytes: func() []byte { return command("PING", "") }, end: kept},
	{name: "PING of half a TTL", bytes: func() []byte { return command("PING", "\x00") }, end: kept},
	{name: "PING with a long context", bytes: func() []byte { return command("PING", "\x00\x00"+strings.Repeat("x", 10_000)) }, end: kept},
	{name: "PINGs in a message", bytes: text(short(1, "\x02x") + strings.Repeat(short(4, "\x04PING\x00\x00"), 50) + short(0, "y")), end: kept},
	{name: "PINGs and no reading", bytes: repeat(10_000, func(int) string { return short(4, "\x04PING\xff\xff0123456789abcdef") }), end: kept, heavy: true},
}

// greeted are scripts that are played after a proper handshake.
func greeted(scripts []script) []script {
	scripts = slices.Clone(scripts)
	for i := range scripts {
		scripts[i].greets = true
	}
	return scripts
}

func sub(prefix string) string    { return frameOf(0, "\x01"+prefix) }
func cancel(prefix string) string { return frameOf(0, "\x00"+prefix) }

// subscriberScripts are sent to a publisher.
var subscriberScripts = greeted([]script{
	{name: "subscription that is too long", bytes: text(string(long(0, 64<<10+1)))},
	{name: "SUBSCRIBE that is too long", bytes: text(string(long(4, 64<<10+1)))},
	{name: "message of an XSUB", bytes: repeat(1000, func(i int) string { return frameOf(0, "\x02user message") }), end: kept},
	{name: "subscription of two frames", bytes: text(short(1, "\x01a") + short(0, "\x01b")), end: kept},
	{name: "cancel without subscription", bytes: repeat(5000, func(i int) string { return cancel(fmt.Sprint(i)) }), end: kept, heavy: true},
	{name: "CANCEL without SUBSCRIBE", bytes: repeat(1000, func(i int) string { return string(command("CANCEL", fmt.Sprint(i))) }), end: kept},
	{name: "everything, many times", bytes: repeat(2000, func(int) string { return sub("") }), end: kept},
	{name: "to and fro", bytes: repeat(2000, func(int) string { return sub("n") + cancel("n") }), end: kept},
	{name: "a flood of subscriptions", bytes: repeat(20_000, func(i int) string { return sub(fmt.Sprint("flood.", i)) }), end: kept, heavy: true},
	{name: "a flood of SUBSCRIBE", bytes: repeat(20_000, func(i int) string { return string(command("SUBSCRIBE", fmt.Sprint("flood.", i))) }), end: kept, heavy: true},
	{name: "long subscriptions", bytes: repeat(200, func(i int) string { return sub(fmt.Sprint(i, strings.Repeat("x", 60_000))) }), end: kept, heavy: true},
	{name: "binary subscriptions", bytes: repeat(2000, func(i int) string { return sub(string([]byte{byte(i), 0, byte(i >> 8), 0xff})) }), end: kept},
	{name: "questions and no reading", bytes: repeat(9000, func(i int) string { return sub(fmt.Sprintf("$bus.hello.%016x", i)) }), end: kept, heavy: true},
	{name: "one question many times", bytes: repeat(9000, func(i int) string { return sub("$bus.hello.0123456789abcdef") }), end: kept, heavy: true},
	{name: "a question asked anew", bytes: repeat(5000, func(i int) string {
		return sub("$bus.hello.0123456789abcdef") + cancel("$bus.hello.0123456789abcdef")
	}), end: kept, heavy: true},
	{name: "heartbeats asked for anew", bytes: repeat(5000, func(i int) string { return sub("$bus.heartbeat.") + cancel("$bus.heartbeat.") }), end: kept, heavy: true},
	{name: "questions that are none", bytes: text(sub("$bus.hello.") + sub("$bus.hello.x") + sub("$bus.hello."+strings.Repeat("a", 300)) + sub("$bus.hello.0123456789abcde\x00") + sub("$bus.")), end: kept},
	{name: "replays and no reading", bytes: repeat(300, func(i int) string {
		return sub(fmt.Sprintf("$bus.replay.%016x\x00{\"retained\":true,\"prefixes\":[\"\"]}", i))
	}), end: kept},
	{name: "replays that make no sense", bytes: text(sub("$bus.replay.0123456789abcdef\x00") + sub("$bus.replay.0123456789abcdef\x00{") +
		sub("$bus.replay.0123456789abcdef\x00"+strings.Repeat("[", 50_000)) + sub("$bus.replay.0123456789abcdef\x00{\"after\":-1}") +
		sub("$bus.replay.0123456789abcdef\x00{\"retained\":1e999,\"prefixes\":7}") + sub("$bus.replay.\x00\x00\x00")), end: kept},
})

// event is one as a publisher of ours sends it.
func event(topic string, inc, seq, prev uint64) string {
	meta := []byte("HB\x01\x00")
	for _, v := range []uint64{inc, seq, prev, 0} {
		meta = binary.BigEndian.AppendUint64(meta, v)
	}
	return frameOf(1, topic) + short(1, "payload") + short(0, string(meta))
}

func beat(topic, format string, args ...any) string {
	return frameOf(1, topic) + frameOf(0, fmt.Sprintf(format, args...))
}

const goodBeat = `{"v":1,"name":"%s","source":"%016x","seq":%d,"interval_ms":60000,"started":"2026-01-02T15:04:05Z","endpoints":[],"bye":%t}`

// publisherScripts are sent to a subscriber.
var publisherScripts = greeted([]script{
	{name: "SUBSCRIBE to a subscriber", bytes: func() []byte { return command("SUBSCRIBE", "x") }, end: kept},
	{name: "long topics", bytes: repeat(50, func(i int) string {
		return frameOf(1, strings.Repeat("t", 60_000)+fmt.Sprint(i)) + short(0, "payload")
	}), end: kept, heavy: true},
	{name: "foreign events", bytes: repeat(5000, func(i int) string { return short(1, fmt.Sprint("foreign.", i)) + short(0, "payload") }), end: kept, heavy: true},
	{name: "a new incarnation each time", bytes: repeat(20_000, func(i int) string { return event("t", 1<<32+uint64(i), 1, 0) }), end: kept, heavy: true},
	{name: "incarnations with many topics", times: 20, bytes: repeat(5000, func(i int) string {
		return event(fmt.Sprint("t.", i%1000), 1<<33+uint64(i/1000), uint64(i)+1, 0)
	}), end: kept, heavy: true},
	{name: "gaps", bytes: repeat(10_000, func(i int) string { return event("t", 7, uint64(i)*1000+1000, uint64(i)*1000+500) }), end: kept, heavy: true},
	{name: "backwards", bytes: repeat(1000, func(i int) string { return event("t", 8, uint64(10_000-i), uint64(20_000-i)) }), end: kept},
	{name: "the last seqs", bytes: text(event("t", 9, math.MaxUint64, math.MaxUint64-1) + event("t", 9, math.MaxUint64, math.MaxUint64) + event("t", 9, 0, 0) + event("t", 0, 1, 0)), end: kept},
	{name: "half a meta", bytes: text(short(1, "t") + short(1, "p") + short(0, "HB\x01\x04")), end: kept},
	{name: "meta of another version", bytes: text(short(1, "t") + short(1, "p") + short(0, "HB\x09"+strings.Repeat("\xff", 40))), end: kept},
	{name: "headers of no length", bytes: text(short(1, "t") + short(1, "p") + short(0, "HB\x01\x04"+strings.Repeat("\x01", 32)+strings.Repeat("\xff", 20))), end: kept},
	{name: "all flags", bytes: text(short(1, "t") + short(1, "p") + short(0, "HB\x01\xff"+strings.Repeat("\x02", 32)+"\x01\x01k\x01v")), end: kept},
	{name: "heartbeats that are none", bytes: text(beat("$bus.heartbeat.rogue", "") + beat("$bus.heartbeat.rogue", "null") + beat("$bus.heartbeat.rogue", "{") +
		beat("$bus.heartbeat.rogue", "[1]") + beat("$bus.heartbeat.rogue", `{"v":9}`) + beat("$bus.heartbeat.", goodBeat, "", 1, 1, false) +
		beat("$bus.heartbeat.a", goodBeat, "b", 1, 1, false) + beat("$bus.heartbeat.rogue", goodBeat, "rogue", 0, 1, false) + short(0, "$bus.heartbeat.rogue")), end: kept},
	{name: "a deep heartbeat", bytes: func() []byte { return []byte(beat("$bus.heartbeat.rogue", "%s", strings.Repeat("[", 60_000))) }, end: kept},
	{name: "a large heartbeat", bytes: func() []byte {
		return []byte(beat("$bus.heartbeat.rogue", `{"v":1,"name":"rogue","source":"0000000000000001","interval_ms":1e308,"endpoints":["%s"]}`, strings.Repeat("x", 1<<20)))
	}, end: kept, heavy: true},
	{name: "publishers without end", bytes: repeat(10_000, func(i int) string {
		return beat(fmt.Sprint("$bus.heartbeat.rogue", i), goodBeat, fmt.Sprint("rogue", i), i+1, 0, false)
	}), end: kept, heavy: true},
	{name: "restarts without end", bytes: repeat(5000, func(i int) string { return beat("$bus.heartbeat.rogue", goodBeat, "rogue", i+1, i, false) }), end: kept, heavy: true},
	{name: "goodbyes without end", bytes: repeat(2000, func(i int) string { return beat("$bus.heartbeat.rogue", goodBeat, "rogue", 7, i, i%2 == 0) }), end: kept},
	{name: "answers to no question", bytes: repeat(1000, func(i int) string {
		return beat(fmt.Sprintf("$bus.hello.%016x", i), goodBeat, "rogue", 7, 0, false)
	}), end: kept},
	{name: "replays that nobody asked for", bytes: repeat(1000, func(i int) string {
		return short(1, fmt.Sprintf("$bus.replay.%016x", i)) + short(1, "payload") + short(1, "HB\x01\x01"+strings.Repeat("\x03", 32)) + short(0, "t")
	}), end: kept},
	{name: "ends of replays", bytes: text(beat("$bus.replay.0123456789abcdef", `{"done":true,"from":5,"to":1,"oldest":9}`) + beat("$bus.replay.", "{}") + short(0, "$bus.replay.")), end: kept},
	{name: "reserved topics of no meaning", bytes: text(beat("$bus.", "x") + beat("$bus.what", "x") + short(0, "$bus.x")), end: kept},
})

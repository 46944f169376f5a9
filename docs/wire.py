#!/usr/bin/env python3
"""Herald's wire contract (wire.md) on plain pyzmq, to read and to copy from.

    wire.py pub NAME (--bind | --connect) URL [INTERVAL]
        publishes the lines "TOPIC PAYLOAD" of its input, until that ends
    wire.py sub URL [PREFIX ...]
        prints what it receives, what it missed, and who is alive
"""

import datetime
import json
import os
import secrets
import struct
import sys
import time

import zmq

META = struct.Struct(">2sBBQQQq")  # magic, version, flags, source, seq, prev, time
HEARTBEAT, HELLO = b"$bus.heartbeat.", b"$bus.hello."


class Publisher:
    """Use it from one thread, and call serve() whenever the socket can be read, and
    at every interval."""

    def __init__(self, name, interval=1.0):
        # An XPUB is a PUB that can see what is subscribed to.
        self.socket = zmq.Context.instance().socket(zmq.XPUB)
        self.name, self.interval = name, interval
        self.source = secrets.randbits(64) or 1  # new at each start
        self.seq = 0  # of the last event
        self.last = {}  # the same by topic; what is no longer in it has prev 0
        self.started = datetime.datetime.now(datetime.timezone.utc).isoformat()
        self.due = time.monotonic()

    def publish(self, topic, payload):
        prev, self.seq = self.last.get(topic, 0), self.seq + 1
        self.last[topic] = self.seq
        meta = META.pack(b"HB", 1, 0, self.source, self.seq, prev, time.time_ns())
        self.socket.send_multipart([topic, payload, meta])

    def tell(self, topic, bye=False):
        """Sends a heartbeat, or with the same content the answer to a hello."""
        beat = {
            "v": 1, "name": self.name, "source": "%016x" % self.source, "seq": self.seq,
            "interval_ms": round(self.interval * 1000), "started": self.started,
            "endpoints": [], "bye": bye,
        }
        self.socket.send_multipart([topic, json.dumps(beat).encode()])

    def serve(self):
        while self.socket.poll(0):
            message = self.socket.recv()
            if message.startswith(b"\x01" + HELLO):
                self.tell(message[1:])
        if time.monotonic() >= self.due:
            self.tell(HEARTBEAT + self.name.encode())
            self.due = time.monotonic() + self.interval

    def close(self):
        self.tell(HEARTBEAT + self.name.encode(), bye=True)
        self.socket.close(linger=1000)


class Subscriber:
    """Yields what happens from events(), as tuples that begin with a word."""

    def __init__(self, url, prefixes):
        self.socket = zmq.Context.instance().socket(zmq.SUB)
        self.connections = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self.socket.connect(url)
        for prefix in [HEARTBEAT, *prefixes]:
            self.socket.subscribe(prefix)
        self.hello = None  # the question that is open
        self.since = {}  # source: its seq when the subscriptions were in force
        self.last = {}  # (source, topic): last seq
        self.publishers = {}  # name: (source, time at which it is stale, None if it is)

    def ask(self):
        """Asks whether the subscriptions are in force. libzmq sends them again by
        itself when it reconnects, but in the order of their bytes, which puts the
        question first: so it is asked when the connection is there, on each anew."""
        if self.hello:
            self.socket.unsubscribe(self.hello)
        self.hello = HELLO + secrets.token_hex(8).encode()
        self.socket.subscribe(self.hello)

    def events(self):
        poller = zmq.Poller()
        poller.register(self.socket, zmq.POLLIN)
        poller.register(self.connections, zmq.POLLIN)
        while True:
            ready = dict(poller.poll(50))
            if self.connections in ready:
                self.connections.recv_multipart()
                self.ask()
            if self.socket in ready:
                yield from self.message(*self.socket.recv_multipart())
            for name, (source, deadline) in self.publishers.items():
                if deadline and time.monotonic() > deadline:
                    self.publishers[name] = source, None
                    yield "stale", name

    def message(self, topic, payload=b"", meta=b"", *extra):
        if topic.startswith((HEARTBEAT, HELLO)):
            yield from self.beat(topic, json.loads(payload))
            return
        if len(meta) < META.size or meta[:3] != b"HB\x01":
            yield "event", topic, payload, None  # of a foreign publisher
            return
        _, _, _, source, seq, prev, _ = META.unpack_from(meta)
        known = self.last.get((source, topic))
        if known and seq <= known:
            return  # came before, on another way
        self.last[source, topic] = seq
        # What is not subscribed to leaves holes in seq, but none in the chain of a
        # topic. Where nothing is known of a topic, the chain begins at the hello.
        begin = known or self.since.get(source)
        if begin is not None and prev > begin:
            yield "missed", topic, begin, seq
        yield "event", topic, payload, seq

    def beat(self, topic, beat):
        name, source = beat["name"], int(beat["source"], 16)
        if topic == self.hello:
            self.socket.unsubscribe(self.hello)
            self.hello = None
            self.since.setdefault(source, beat["seq"])
            yield "ready", name
        if beat["bye"]:
            if self.publishers.pop(name, None):
                yield "gone", name
            return
        before, deadline = self.publishers.get(name, (None, None))
        if before is None:
            yield "alive", name
        elif before != source:
            yield "restarted", name
        elif deadline is None:
            yield "recovered", name
        self.publishers[name] = source, time.monotonic() + 3.25 * beat["interval_ms"] / 1000


def main(command, *args):
    if command == "pub":
        name, how, url, *interval = args
        pub = Publisher(name, *map(float, interval))
        (pub.socket.bind if how == "--bind" else pub.socket.connect)(url)
        print(pub.socket.last_endpoint.rstrip(b"\0").decode(), flush=True)
        poller = zmq.Poller()
        poller.register(pub.socket, zmq.POLLIN)
        poller.register(sys.stdin, zmq.POLLIN)
        rest = b""
        while True:
            ready = dict(poller.poll(max(0, pub.due - time.monotonic()) * 1000))
            pub.serve()
            if sys.stdin.fileno() in ready:
                read = os.read(sys.stdin.fileno(), 65536)
                if not read:
                    break
                *lines, rest = (rest + read).split(b"\n")
                for line in lines:
                    topic, _, payload = line.partition(b" ")
                    pub.publish(topic, payload)
        pub.close()
    elif command == "sub":
        url, *prefixes = args
        sub = Subscriber(url, [p.encode() for p in prefixes] or [b""])
        for event in sub.events():
            print(*(x.decode(errors="replace") if isinstance(x, bytes) else x for x in event), flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("pub", "sub"):
        sys.exit(__doc__)
    main(*sys.argv[1:])

"""A ZeroMQ program that a test drives. Each line of its input is a JSON list of a
mode, "do" or "get", and Python code; each is answered with one line of JSON: the
value of the code, bytes in it as hex, or {"error": ...}. It ends with its input."""

import json
import os
import sys
import threading
import time
import traceback

import zmq
from zmq.utils.monitor import recv_monitor_message

context = zmq.Context()


def socket(kind, **options):
    """A socket that gives up instead of waiting for ever. Options are by the names
    of zmq's constants."""
    s = context.socket(getattr(zmq, kind))
    s.linger, s.rcvtimeo, s.sndtimeo = 0, 15_000, 15_000
    for name, value in options.items():
        s.setsockopt(getattr(zmq, name), value)
    return s


def bind(s, url="tcp://127.0.0.1:*"):
    """Binds, and returns the endpoint. The address of a process that was just
    killed may take a moment to be free."""
    for attempt in range(200):
        try:
            s.bind(url)
            return s.last_endpoint.rstrip(b"\0").decode()
        except zmq.ZMQError as err:
            if err.errno != zmq.EADDRINUSE or attempt == 199:
                raise
            time.sleep(0.02)


def forward(xsub, xpub):
    """Runs libzmq's own proxy between two sockets, which are its from then on."""
    threading.Thread(target=zmq.proxy, args=(xsub, xpub), daemon=True).start()


def main():
    names = globals()
    for line in sys.stdin:
        mode, code = json.loads(line)
        answer = None
        try:
            if mode == "get":
                answer = eval(code, names)
            else:
                exec(code, names)
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer, default=lambda b: bytes(b).hex()), flush=True)
    os._exit(0)  # without waiting for the sockets of a proxy


main()

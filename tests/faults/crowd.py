#!/usr/bin/python3
"""A crowd of hostile connections: crowd.py ADDRESS PORT COUNT WAYS REDIALS CHANNEL

Opens COUNT connections as fast as it can, each behaving in one of WAYS (with commas, in turn):
  silent    sends nothing
  half      a good call, then half of the largest frame, then nothing
  garbage   random bytes, every other time behind a right greeting
  crawl     a good call, then good calls, two bytes at a time
  deaf      asks for pages of CHANNEL on and on, and never takes an answer
What the other side ends is opened again REDIALS times a second (0: never). Until standard input ends it prints a line
of JSON four times a second: how many were opened in all, refused by the kernel, ended by the other side, are open now.
"""
import collections
import errno
import json
import os
import random
import resource
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cluster"))
sys.dont_write_bytecode = True

from input import GREETING, entry, frame, message  # noqa: E402

CALL = message(frame(flags=1, count=1, entries=entry(method=40)))  # an unknown method: judged, and answered
HALF = struct.pack(">QI", (128 << 10) + 4, 0x80000001) + bytes(64 << 10)
PACE = {"crawl": 0.1, "deaf": 1.0}  # seconds between pieces
CRAWL_BYTES = 2
CONNECTING_MAX = 512
EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET


def lists(channel):
    """A call for the newest 50 messages of a channel, at QUORUM."""
    body = struct.pack("<BQ", 0x09, channel) + bytes((0x10, 1, 0x20, 50, 0x28, 2))
    return message(frame(flags=1, count=1, entries=entry(method=20, body=body)))


class Connection:
    def __init__(self, way, number, crowd):
        self.way, self.is_open, self.piece = way, False, None
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        if way == "deaf":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.again = {"crawl": CALL, "deaf": crowd.lists}.get(way, b"")
        self.rest = {"silent": b"", "half": GREETING + CALL + HALF,
                     "garbage": (GREETING if number % 2 else b"") + crowd.rng.randbytes(300)}.get(
                         way, GREETING + self.again)

    def send(self):
        """What there is to say now, as far as the other side takes it."""
        try:
            while self.rest:
                sent = self.socket.send(self.rest[:self.piece])
                self.rest = self.rest[sent:]
                if self.way in PACE:
                    break
        except BlockingIOError:
            pass

    def take(self):
        """False: the other side ended it."""
        try:
            while self.way != "deaf":
                if not self.socket.recv(65536):
                    return False
        except BlockingIOError:
            pass
        return True


class Crowd:
    def __init__(self, address, count, ways, redials, channel):
        self.address, self.count, self.ways, self.redials = address, count, ways, redials
        self.poll, self.rng, self.lists = select.epoll(), random.Random(count), lists(channel)
        self.by_fd = {}
        self.paced = {way: collections.deque() for way in PACE}  # who says more when
        self.dialed = self.opened = self.refused = self.ended = self.connecting = self.now_open = 0

    def dial(self):
        one = Connection(self.ways[self.dialed % len(self.ways)], self.dialed, self)
        self.dialed += 1
        if one.socket.connect_ex(self.address) not in (0, errno.EINPROGRESS):
            self.refused += 1
            one.socket.close()
            return
        self.connecting += 1
        self.by_fd[one.socket.fileno()] = one
        self.poll.register(one.socket, EVENTS)

    def end(self, one):
        del self.by_fd[one.socket.fileno()]
        one.socket.close()
        if one.is_open:
            self.ended += 1
            self.now_open -= 1
        else:
            self.refused += 1
            self.connecting -= 1

    def event(self, one, events):
        try:
            if not one.is_open and not self.connected(one, events):
                return
            if events & (select.EPOLLHUP | select.EPOLLERR) or events & select.EPOLLIN and not one.take():
                self.end(one)
            elif one.way not in PACE:
                one.send()
        except OSError:
            self.end(one)

    def connected(self, one, events):
        """True when it is, now."""
        if one.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0:
            self.end(one)
            return False
        if not events & select.EPOLLOUT:
            return False
        one.is_open = True
        self.opened += 1
        self.connecting -= 1
        self.now_open += 1
        if one.way in PACE:
            self.paced[one.way].append((time.monotonic(), one))
        return True

    def say_more(self, now):
        for way, queue in self.paced.items():
            while queue and queue[0][0] <= now:
                one = queue.popleft()[1]
                if one.socket.fileno() < 0:
                    continue
                try:
                    if not one.rest:
                        one.rest = one.again
                        one.piece = CRAWL_BYTES if way == "crawl" else None
                    one.send()
                    queue.append((now + PACE[way], one))
                except OSError:
                    self.end(one)

    def report(self):
        print(json.dumps({"opened": self.opened, "refused": self.refused, "ended": self.ended,
                          "connecting": self.connecting, "open": self.now_open}), flush=True)

    def run(self):
        self.poll.register(sys.stdin, select.EPOLLIN | select.EPOLLHUP)
        said = redialed = time.monotonic()
        while True:
            now = time.monotonic()
            if now - said >= 0.25:
                said = now
                self.report()
            while self.dialed < self.count and self.connecting < CONNECTING_MAX:
                self.dial()
            if self.dialed >= self.count and now - redialed >= 0.02:
                missing = self.count - self.connecting - self.now_open
                for _ in range(min(missing, int((now - redialed) * self.redials))):
                    self.dial()
                redialed = now
            self.say_more(now)
            for fd, events in self.poll.poll(0.01, 512):
                if fd == sys.stdin.fileno():
                    return
                if fd in self.by_fd:
                    self.event(self.by_fd[fd], events)


def main():
    address, port, count, ways, redials, channel = sys.argv[1:]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, int(count) + 64), hard))
    Crowd((address, int(port)), int(count), ways.split(","), int(redials), int(channel)).run()


main()

"""Writes the first inputs of the fuzz targets that speak protobuf, from valid messages. Usage: seeds.py (from the
project's root). They lie in tests/fuzz/corpus; this is how to make them anew after a conversation changed.
"""
import os
import re
import struct

METHODS = [line[1] for line in re.findall(r"^METHOD\((\d+), (\w+)\)", open("common/rpc/methods.def").read(), re.M)]
DEAD, DENIED, NOT_OWNER, STALE_EPOCH = (
    int(re.search(rf"^STATUS\((\d+), {name},", open("common/base/status.def").read(), re.M).group(1))
    for name in ("DEAD", "DENIED", "NOT_OWNER", "STALE_EPOCH"))
# Doors of fuzz_calls.
(CONTROLLER_ADMIN, CONTROLLER_NODE, CONTROLLER_ROUTER, NODE_ROUTER, NODE_ADMIN, ROUTER_CLIENT, ROUTER_ADMIN,
 NODE_NODE) = range(8)
CHANNEL = bytes.fromhex("d752fae69d1653da8000000000000001")  # token and key of channel 1, in range 13 of 16
MS = 1767225600000 - 1420070400000  # the simulated clock's start, on the clock of ids
IDS = [(MS + ms) << 22 | 1 << 6 for ms in (100, 200, 300)]
ROUTED, MUCH_LATER, LATER = 1, 64, 128
STAMP = 1767225601000000


def varint(value):
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def fixed(field, value):
    return varint(field << 3 | 1) + struct.pack("<Q", value & (1 << 64) - 1)


def zigzag(field, value):
    return number(field, value * 2 if value >= 0 else -value * 2 - 1)


def data(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def rows(name):
    """The two rows of a seed of fuzz_row."""
    both = open("tests/fuzz/corpus/row/" + name, "rb").read()
    return both[1:1 + both[0]], both[1 + both[0]:]


def call(door, method, body=b"", routing=0):
    """In the range of CHANNEL, once the calls before it were answered."""
    return bytes([door, METHODS.index(method), routing | LATER, CHANNEL[0] >> 4]) + struct.pack("<H", len(body)) + body


CREATE, EDIT = rows("create_edit")
_, DELETE = rows("edited_delete")


def client_calls():
    one, two, _ = IDS
    who = fixed(1, 1) + fixed(2, one)
    return {
        "client_write": b"".join([
            call(ROUTER_CLIENT, "MESSAGE_CREATE", who + number(3, 2) + data(4, CREATE)),
            call(ROUTER_CLIENT, "MESSAGE_CREATE", fixed(1, 1) + fixed(2, two) + number(3, 2) + data(4, CREATE)),
            call(ROUTER_CLIENT, "MESSAGE_EDIT", who + number(3, 2) + data(4, EDIT) + zigzag(5, STAMP)),
            call(ROUTER_CLIENT, "MESSAGE_DELETE", fixed(1, 1) + fixed(2, two) + number(3, 2)),
            call(ROUTER_CLIENT, "MESSAGE_GET", who + number(3, 2)),
            call(ROUTER_CLIENT, "MESSAGE_STATUS", who + number(3, 1)),
        ]),
        "client_list": b"".join([
            call(ROUTER_CLIENT, "MESSAGE_CREATE", who + number(3, 2) + data(4, CREATE)),
            call(ROUTER_CLIENT, "MESSAGE_LIST", fixed(1, 1) + number(2, 1) + number(4, 50) + number(5, 2)),
            call(ROUTER_CLIENT, "MESSAGE_LIST",
                 fixed(1, 1) + number(2, 5) + fixed(3, one) + number(4, 3) + number(5, 3)),
            call(ROUTER_CLIENT, "CHANNEL_LIST", number(2, 10) + number(3, 2)),
            call(ROUTER_CLIENT, "CHANNEL_LIST", data(1, CHANNEL) + number(2, 10) + number(3, 2)),
            call(ROUTER_CLIENT, "CHANNEL_INSPECT", fixed(1, 1) + number(2, 1)),
            call(ROUTER_CLIENT, "CHANNEL_PURGE", fixed(1, 1) + fixed(2, 1) + fixed(3, two) + number(4, 2)),
        ]),
        "client_ids": b"".join([
            call(ROUTER_CLIENT, "RESERVE", number(1, 16)),
            call(ROUTER_CLIENT, "LEASE", data(1, bytes(range(16))), MUCH_LATER),
            call(ROUTER_CLIENT, "LEASE", data(1, bytes(range(16))) + number(2, 1) + number(3, 1)),
            call(ROUTER_CLIENT, "RING", number(1, 0)),
            call(ROUTER_CLIENT, "IMPORT", number(1, 1) + number(3, 60000) + data(4, "seed")),
            call(ROUTER_ADMIN, "IMPORT", number(1, 1) + number(3, 60000) + data(4, "seed")),
            call(ROUTER_ADMIN, "ADMIN_ROUTER_STATUS"),
        ]),
    }


def replica_calls():
    one, two, three = IDS
    def write(kind, body, ident):
        return call(NODE_ROUTER, "REPLICA_WRITE", data(1, CHANNEL) + fixed(2, ident) + data(3, body) + number(4, kind),
                    ROUTED)
    page = open("tests/fuzz/corpus/page/raw", "rb").read()
    return {
        "replica_write": b"".join([
            write(1, CREATE, one), write(1, CREATE, two), write(2, EDIT, one), write(3, DELETE, two),
            write(4, DELETE, three),
            call(NODE_ROUTER, "REPLICA_WRITE", data(1, CHANNEL) + number(4, 4) + data(6, page), ROUTED),
            call(NODE_ROUTER, "REPLICA_SPAN",
                 data(1, CHANNEL) + fixed(2, 1) + fixed(3, one) + zigzag(4, STAMP), ROUTED),
            call(NODE_ROUTER, "REPLICA_ADOPT", data(1, bytes(40)), ROUTED),
            call(NODE_ROUTER, "REPLICA_CLOSED", data(1, CHANNEL) + data(2, struct.pack("<QQ", two, three)), ROUTED),
        ]),
        "replica_read": b"".join([
            write(1, CREATE, one), write(3, DELETE, two),
            *[call(NODE_ROUTER, "REPLICA_READ", data(1, CHANNEL) + fixed(2, 0) + fixed(3, (1 << 64) - 1) +
                   number(4, order) + number(5, 10) + number(7, mode), ROUTED)
              for mode, order in ((1, 0), (2, 1), (3, 0))],
            call(NODE_ROUTER, "REPLICA_NEWEST", data(1, CHANNEL), ROUTED),
            call(NODE_NODE, "REPLICA_COPY", data(1, CHANNEL) + fixed(2, three) + number(3, 1000), ROUTED),
            call(NODE_ROUTER, "REPLICA_SPACE", number(1, 3)),
            call(NODE_ROUTER, "REPLICA_PARTITIONS", data(1, CHANNEL[:8]) + number(2, 10), ROUTED),
            call(NODE_ROUTER, "REPLICA_INSPECT", data(1, CHANNEL), ROUTED),
            call(NODE_ROUTER, "REPLICA_COPY", number(3, 65536), ROUTED),
            call(NODE_ROUTER, "REPLICA_COPY", data(1, CHANNEL) + fixed(2, one) + number(3, 1), ROUTED),
        ]),
        "node_admin": b"".join([
            write(1, CREATE, one), call(NODE_ADMIN, "ADMIN_FLUSH"), write(1, CREATE, two), write(3, DELETE, one),
            call(NODE_ADMIN, "ADMIN_FLUSH"), call(NODE_ADMIN, "ADMIN_COMPACT"), call(NODE_ADMIN, "ADMIN_NODE_STATUS"),
        ]),
    }


def control_calls():
    register = data(2, bytes(range(1, 17))) + fixed(3, 1) + data(4, "127.0.9.1:7300") + number(5, 2) + data(6, "z") + \
        data(7, "0.1") + data(8, struct.pack("<QQ", 5, 6))
    return {
        "control": b"".join([
            call(CONTROLLER_NODE, "CONTROL_REGISTER", number(1, 1) + register),
            call(CONTROLLER_ROUTER, "CONTROL_REGISTER", number(1, 2) + register.replace(b"7300", b"7200")),
            call(CONTROLLER_ROUTER, "CONTROL_VIEW", number(1, 0)),
            call(CONTROLLER_ROUTER, "CONTROL_VIEW", number(1, 0) + number(2, 16) + number(3, 9)),
            call(CONTROLLER_ROUTER, "CONTROL_MAKERS", number(1, 1) + number(2, 2)),
            call(CONTROLLER_ROUTER, "CONTROL_IMPORT", number(1, 1) + number(3, 60000) + data(4, "seed") + number(5, 1)),
            call(CONTROLLER_ADMIN, "CONTROL_HORIZON", number(1, 1) + zigzag(2, 1767225600000)),
            call(CONTROLLER_ADMIN, "CONTROL_EPOCH", fixed(1, 3)),
            call(CONTROLLER_NODE, "CONTROL_LAPSE", number(1, 1) + data(2, fixed(1, 3) + fixed(2, 1))),
            call(CONTROLLER_NODE, "CONTROL_REBUILT", number(1, 1) + fixed(2, 3) + fixed(3, 2)),
            call(CONTROLLER_ADMIN, "CONTROL_INFO"),
        ]),
    }


def answer(method, body, status=0):
    return bytes([METHODS.index(method), status]) + struct.pack("<H", len(body)) + body


def node_answers():
    page = open("tests/fuzz/corpus/page/visible", "rb").read()
    raw = open("tests/fuzz/corpus/page/raw", "rb").read()
    digest, other = bytes(range(16)), bytes(16)
    entry = data(1, CHANNEL) + data(2, CHANNEL[8:]) + fixed(3, IDS[0]) + number(4, 1)
    read = data(1, page) + data(2, digest) + fixed(3, 0)
    return {
        "node_reads": b"\1" + answer("REPLICA_READ", read) + answer("REPLICA_READ", data(1, raw) + fixed(3, 5)) +
        answer("REPLICA_READ", read + number(4, 1)),
        "node_differ": b"\1" + b"".join(answer("REPLICA_READ", data(1, page) + data(2, which) + fixed(3, 0))
                                        for which in (digest, other) * 5) + answer("REPLICA_READ", data(1, raw)),
        "node_writes": b"\1" + answer("REPLICA_WRITE", b"", 0) + answer("REPLICA_WRITE", data(1, DELETE), DEAD) +
        answer("REPLICA_WRITE", data(2, open("tests/fuzz/corpus/page/spans", "rb").read()), DEAD),
        "node_lists": b"\1" + answer("REPLICA_NEWEST", fixed(1, IDS[1])) + answer("REPLICA_SPACE", number(1, 3)) +
        answer("REPLICA_PARTITIONS", data(1, entry) + number(2, 1)) + answer("REPLICA_PARTITIONS", data(1, entry)) +
        answer("REPLICA_INSPECT", number(1, 3) + data(2, digest) + fixed(3, IDS[1])),
        "node_short_position": b"\1" + answer("REPLICA_PARTITIONS",
                                              data(1, data(1, b"x") + fixed(3, 5)) + number(2, 1)),
        "sources": b"\2" + answer("REPLICA_COPY",
                                  data(1, data(1, CHANNEL) + data(2, raw)) + data(2, CHANNEL) + fixed(3, 5)) +
        answer("REPLICA_COPY", b""),
        "node_stale": b"\1" + answer("REPLICA_WRITE", b"", STALE_EPOCH) + answer("REPLICA_ADOPT", fixed(1, 2)),
    }


def word(kind, body):
    return bytes([kind]) + struct.pack("<H", len(body)) + body


def raft(kind, term, index=0, log_term=0, commit=0, entries=()):
    body = number(1, kind) + fixed(2, 2) + fixed(3, 1) + fixed(4, term)
    body += fixed(5, index) if index else b""
    body += fixed(6, log_term) if log_term else b""
    body += fixed(7, commit) if commit else b""
    for entry in entries:
        body += data(12, entry)
    return word(0, data(1, body))


def fellow_words():
    """Of controller 2 to controller 1."""
    vote, vote_answer, pre_vote_answer, append, heartbeat, timeout_now = 5, 6, 8, 1, 3, 10
    empty = fixed(1, 1) + fixed(2, 2) + number(3, 2)
    def chunk(offset, body, size=2000):
        return word(1, fixed(1, 2) + fixed(2, 1) + fixed(3, 2) + fixed(4, 9) + fixed(5, 1) + fixed(6, size) +
                    fixed(7, 5) + (fixed(8, offset) if offset else b"") + data(9, body))
    return {
        "follow": raft(heartbeat, 2) + raft(append, 2, 0, 0, 0, [empty]) + raft(append, 2, 1, 2, 1) +
        raft(vote, 3, 1, 2),
        "lead": raft(pre_vote_answer, 1) + raft(vote_answer, 1) + raft(timeout_now, 1) + raft(vote_answer, 2),
        "snapshot": chunk(0, bytes(1000)) + chunk(1000, bytes(1000)) + chunk(0, bytes(2000)),
        "chunk_answers": word(2, fixed(1, 256 << 10)) + word(2, fixed(1, 300000)),
    }


def router_answers():
    page = open("tests/fuzz/corpus/page/visible", "rb").read()
    ids = answer("RESERVE", data(1, struct.pack("<QQ", *IDS[:2])))
    router = number(1, 1) + data(2, "127.0.3.1:7200") + number(3, 2)
    ring = answer("RING", number(1, 3) + data(2, router) + data(3, bytes(range(16))))
    channel = fixed(1, 1) + fixed(2, IDS[0])
    return {
        "reads": b"\0" + ids + ring + answer("LEASE", number(1, 5) + number(2, 5000) + fixed(3, 1)) +
        answer("MESSAGE_GET", data(1, CREATE)) + answer("MESSAGE_LIST", data(1, page) + number(2, 1)) +
        answer("MESSAGE_STATUS", number(1, 1)),
        "channels": b"\1" + ids + answer("CHANNEL_LIST", data(1, channel) + data(2, CHANNEL) + number(3, 1)) +
        answer("CHANNEL_PURGE", fixed(1, 9)) + answer("IMPORT", fixed(1, 9)),
        "refusal": b"\0" + answer("LINK_HELLO", data(1, "no"), DENIED),
        "frame": b"\0" + b"\xff\0" + struct.pack("<H", 29) + b"\1" + bytes([1, 0, 0, 0, 0, 0, 0, 0, 2] + [0] * 19),
    }


def msgctl_commands():
    """The first byte is the position in fuzz_msgctl's table."""
    daemon = number(1, 1) + number(2, 1) + data(3, bytes(range(16))) + data(4, "127.0.2.1:7300") + data(5, "z") + \
        number(6, 1) + fixed(7, 3) + number(8, 1) + data(9, "0.1") + number(10, 16)
    router = number(1, 2) + number(2, 1) + data(3, bytes(range(16))) + data(4, "127.0.3.1:7200") + number(6, 1)
    controller = number(1, 1) + data(2, "127.0.1.1:7100") + number(3, 1) + number(4, 1) + number(5, 9)
    info = answer("CONTROL_INFO", data(1, bytes(range(16))) + data(2, "test") + number(3, 5) + number(6, 1) +
                  data(7, controller) + data(8, daemon) + data(8, router) + number(9, 16))
    shard = number(2, 16) + number(3, 100) + number(5, 3) + number(6, 5000) + number(7, 2) + fixed(8, 9)
    node = answer("ADMIN_NODE_STATUS", number(1, 1) + data(4, "0.1") + data(5, "sim") + number(6, 5) + data(10, shard))
    status = answer("ADMIN_ROUTER_STATUS", number(1, 1) + data(2, "0.1") + number(5, 1) + number(6, 1))
    view = open("tests/fuzz/corpus/view/small", "rb").read()
    state = number(1, 1) + data(2, "127.0.2.1:7300") + number(4, 3) + data(5, bytes(16)) + fixed(6, 7)
    inspect = answer("CHANNEL_INSPECT", zigzag(1, -5) + fixed(2, 1) + fixed(3, 1) + number(4, 1) +
                     data(5, "127.0.3.1:7200") + data(6, state))
    everything = info + node + status + answer("CONTROL_VIEW", number(1, 7) + number(2, len(view)) + data(3, view)) + \
        answer("ADMIN_FLUSH", number(1, 3)) + answer("ADMIN_COMPACT", number(1, 9) + number(2, 8)) + inspect
    reads = router_answers()["reads"][1:] + router_answers()["channels"][1:]
    return {"import": bytes([24]) + b"\n" + answer("RING", data(3, bytes(range(16))))} | \
        {f"overview{i}": bytes([i]) + b"--output json" * (i % 2) + b"\n" + everything
            for i in (0, 1, 2, 3, 4, 5, 7, 15, 16, 17)} | \
        {f"message{i}": bytes([i]) + b"-o json" * (i % 2) + b"\n" + reads for i in (6, 8, 9, 10, 11, 12, 13, 14)} | \
        {"words": bytes([18]) + b"1 --limit 5 --before 7 --level all\n" + reads,
         "times": bytes([19]) + b"1 --after 2026-01-01T00:00:00Z --deadline 1.5s --yes\n" + reads}


def controller_answers():
    view = bytes.fromhex("5eed0000000040008000000000000001") + open("tests/fuzz/corpus/view/small", "rb").read()[16:]
    return {
        "controller": b"\0" + answer("CONTROL_REGISTER", number(1, 1) + number(2, 7)) +
        answer("CONTROL_VIEW", number(1, 7) + number(2, len(view)) + data(3, view[:100])) +
        answer("CONTROL_VIEW", number(1, 7) + number(2, len(view)) + data(3, view[100:])) +
        answer("CONTROL_MAKERS", data(1, b"\1\2")) + answer("CONTROL_IMPORT", fixed(1, 9)),
        "controller_says_nothing": b"\0" + answer("CONTROL_REGISTER", b""),
        "controller_repeats_itself": b"\0" + answer("CONTROL_REGISTER", number(1, 1)) +
        answer("CONTROL_VIEW", number(1, 7) + number(2, 1) + data(3, b"x")) * 20,
        "controller_hint": b"\0" + answer("CONTROL_REGISTER", number(1, 2) + data(2, "127.0.9.1:7100"), NOT_OWNER),
    }


def copies():
    page = open("tests/fuzz/corpus/page/raw", "rb").read()
    part = data(1, CHANNEL) + data(2, page)
    return {"last": data(1, part), "more": data(1, part) * 2 + data(2, CHANNEL) + fixed(3, IDS[0])}


def states():
    """Of replicas in the commit log: kind, version, flags, and what the flags name."""
    return {"state_rebuilt": bytes([5, 1, 4, 1, 2, 2]),
            "state_rebuilding": bytes([5, 1, 5, 1, 2, 1]) + varint(len(CHANNEL)) + CHANNEL + varint(IDS[0])}


def main():
    targets = {
        "copying": copies(),
        "commit_log": states(),
        "calls": client_calls() | replica_calls() | control_calls(),
        "controllers": fellow_words(),
        "msgctl": msgctl_commands(),
        "client": router_answers(),
        "answers": node_answers() | controller_answers(),
    }
    for target, seeds in targets.items():
        folder = os.path.join("tests/fuzz/corpus", target)
        os.makedirs(folder, exist_ok=True)
        for name, content in seeds.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)


main()

"""Bad input to real listeners and in real data directories: a clear error or no error, nothing
acknowledged lost, no crash loop."""
import glob
import os
import random
import re
import shutil
import socket
import struct
import time

from harness import Storm, check, crc32c, run, skip, wait_until

GREETING = bytes((0, 0x53, 0x50, 0, 0, 0x30, 0, 0))  # SP, the REQ side
MAGIC = 0x314D5254


def message(body):
    """A message of nng's TCP transport on a REQ socket: length, request id, body."""
    return struct.pack(">Q", len(body) + 4) + struct.pack(">I", 0x80000001) + body


def frame(version=1, flags=0, count=0, number=1, entries=b"", magic=MAGIC):
    head = struct.pack("<IBBHqIII", magic, version, flags, count, int(time.time() * 1e6), 100, number, 0)
    return head + struct.pack("<I", crc32c(head + b"\0\0\0\0" + entries)) + entries


def entry(kind=1, method=1, body=b"", length=None, flags=0):
    return struct.pack("<QBBHIQI", 1, kind, flags, method, 1000000, 7, len(body) if length is None else length) + body


def ends(s, seconds):
    """True when the other side closes the connection in time."""
    s.settimeout(seconds)
    try:
        while s.recv(65536):
            pass
        return True
    except socket.timeout:
        return False
    except OSError:
        return True


def attacks(rng):
    garbage = rng.randbytes(300)
    return {
        "a peer that sends nothing at all": b"",
        "a peer that greets and is silent": GREETING,
        "half a frame": GREETING + struct.pack(">Q", 1000) + b"\x80\0\0\1half",
        "garbage instead of a greeting": garbage,
        "garbage as a frame": GREETING + message(garbage),
        "an empty message": GREETING + struct.pack(">Q", 0),
        "a frame of 2^60 bytes": GREETING + struct.pack(">Q", 1 << 60) + garbage,
        "a frame of 3 MiB": GREETING + message(b"\0" * (3 << 20)),
        "a frame of an unknown version": GREETING + message(frame(version=200)),
        "a frame with another magic": GREETING + message(frame(magic=0x214D5254)),
        "a frame with a wrong checksum": GREETING + message(frame()[:-1] + b"\xff"),
        "a call before HELLO": GREETING + message(frame(count=1, entries=entry(method=40))),
        "an entry longer than its frame": GREETING + message(frame(count=1, entries=entry(length=100000))),
        "256 entries promised, none there": GREETING + message(frame(count=256)),
        "a plain client's malformed call": GREETING + message(
            frame(flags=1, count=1, entries=entry(method=65535, body=garbage))),
        "an HTTP request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    }


def listeners(cluster):
    for name in cluster.names():
        base = cluster.port(name)
        ports = [base, base + 99]
        if name.startswith("node"):
            ports.append(base + 1)
        if name.startswith("router"):
            ports.append(base + 32)
        for port in ports:
            yield name, port


def hostile_peers(cluster):
    """Every attack on every listener at once, a few times, while a client works."""
    before = cluster.pids()
    lines = {name: cluster.log(name).count("\n") for name in cluster.names()}
    storm = Storm(cluster, rate=100)
    rng = random.Random(3)
    wave, open_sockets = attacks(rng), []
    for name, port in listeners(cluster):
        for what, data in wave.items():
            s = socket.create_connection((cluster.address(name), port), timeout=5)
            open_sockets.append((name, port, what, s))
            try:
                s.sendall(data)
            except OSError:
                pass  # it has closed already, which is an answer
    deadline = time.monotonic() + 14
    staying = []
    for name, port, what, s in open_sockets:
        # nng itself sets no limit to a greeting or a message that never becomes whole, plain clients may be silent for
        # 50 s, and http has a limit of its own: such a peer costs one connection.
        is_allowed = what in ("a peer that sends nothing at all", "half a frame") or port % 100 in (32, 99)
        if not is_allowed and not ends(s, max(0.1, deadline - time.monotonic())):
            staying.append(f"{name}:{port} {what}")
        s.close()
    check(not staying,
          f"{len(open_sockets)} hostile connections: those that say something wrong or greet and fall silent "
          "are closed",
          "\n".join(staying[:20]))
    check(storm.stop(), "the client ends in order", storm.output)
    failures = storm.failures()
    check(not failures, "clients beside them see no failed request", "\n".join(failures[:10]))
    check(cluster.pids() == before and cluster.all_ready(10), "no daemon died of them, all are ready")
    more = {name: cluster.log(name).count("\n") - lines[name] for name in cluster.names()}
    check(max(more.values()) < 400, f"and none of them fills the logs ({max(more.values())} lines at most)", more)
    check("pipe.end" in cluster.logs(), "the logs say why such a pipe was ended")


def never_reads(cluster):
    """A plain client that asks on and on and never takes an answer."""
    name = cluster.names("router")[0]
    ask = GREETING + b"".join(message(frame(flags=1, count=1, entries=entry(method=40))) for _ in range(50))
    with socket.create_connection((cluster.address(name), 7232), timeout=5) as s:
        s.settimeout(0.5)
        sent = 0
        try:
            s.sendall(GREETING)
            for _ in range(200):
                s.sendall(ask[len(GREETING):])
                sent += 50
        except OSError:
            pass
        listed = cluster.msgctl("message", "list", 42)
        check(listed.code == 0 and cluster.is_ready(name),
              f"a client that sends {sent} calls and never reads disturbs nobody", listed)


def half_http(cluster):
    sockets = []
    for name in cluster.names():
        for _ in range(20):
            s = socket.create_connection((cluster.address(name), cluster.port(name) + 99), timeout=5)
            s.sendall(b"GET /metr")
            sockets.append(s)
    alive = all(cluster.http(name, "/livez")[0] == 200 for name in cluster.names())
    for s in sockets:
        s.close()
    check(alive, "twenty half requests at every http port, and /livez answers")


# ---- data directories ----

def start_by_hand(cluster, name, *settings, seconds=20):
    """The daemon itself, with its log on standard error."""
    arguments = [part for setting in settings for part in ("--set", setting)]
    return run([cluster.program(name), "--config", cluster.conf(name), "--set", "log.file=", *arguments], seconds)


def refuses(result, words, statement):
    check(result.code not in (0, 124) and 0 < result.code < 128 and re.search(words, result.text), statement, result)


def in_use(cluster):
    for name in ("controller1", "node1", "router1"):
        refuses(start_by_hand(cluster, name), "in use|used by|locked|another process",
                f"{name}: its data directory is in use by another process, and it says so")
    check(cluster.all_ready(10), "those that use them are not disturbed")


def tree_of(path):
    out = {}
    for folder, _, names in os.walk(path):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                out[os.path.relpath(os.path.join(folder, name), path)] = hash(file.read())
    return out


def refuses_untouched(cluster, name, directory, words, what, *settings):
    """A start with this directory is refused, and not a byte in it changes."""
    before = tree_of(directory)
    refuses(start_by_hand(cluster, name, f"storage.directory={directory}", *settings), words,
            f"{what} is refused by name")
    after = tree_of(directory)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    check(before and not changed, "and left as it was, byte for byte", changed)


def other_cluster(cluster):
    """Daemons of another cluster with this data directory; stopped ones, so that only the identity is in the way."""
    for name in ("controller3", "node3", "router2"):
        refuses_untouched(cluster, name, cluster.data(name), "cluster",
                          f"{name}: a data directory of another cluster",
                          "cluster.uuid=00000000-1111-4222-8333-444444444444")
    refuses_untouched(cluster, "controller3", cluster.data("controller3"), "controller 3",
                      "another controller's data directory", "raft.id=2")


def patch_major(path, offset=0):
    """Makes the file's format one that only a later version writes."""
    with open(path, "r+b") as file:
        file.seek(offset)
        head = bytearray(file.read(64))
        head[10:12] = struct.pack("<H", struct.unpack_from("<H", head, 10)[0] + 1)
        head[60:64] = struct.pack("<I", crc32c(bytes(head[:60])))
        file.seek(offset)
        file.write(head)


def newer_format(cluster):
    """A file of each kind as a later version would write it; on copies of stopped daemons' directories."""
    copy = os.path.join(cluster.directory + ".state", "newer")

    def files(pattern):
        return sorted(glob.glob(os.path.join(glob.escape(copy), pattern)))

    for name in ("controller3", "node3", "router2"):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(cluster.data(name), copy)
        for offset in (0, 4096):
            patch_major(os.path.join(copy, "identity"), offset)
        refuses_untouched(cluster, name, copy, "newer", f"{name}: a data directory of a newer format")
    for name, what, pattern in (("controller3", "a Raft log segment", "raft/00-*"),
                                ("node3", "a log segment", "log/00-*"),
                                ("node3", "a manifest", "ranges/*/MANIFEST-*"),
                                ("node3", "an SSTable", "ranges/*/*.sst")):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(cluster.data(name), copy)
        found = files(pattern)
        if what.endswith("log segment"):
            found = [path for path in found if not path.endswith(".new")]
            for path in found:  # the header's own checksum covers the patched bytes
                patch_log(path)
        elif found:
            patch_major(found[-1])
        if not found:
            skip(f"{what} of a newer format", f"{name} has none")
            continue
        result = start_by_hand(cluster, name, f"storage.directory={copy}", seconds=8)
        check(result.code < 128 or result.code == 124, f"{what} of a newer format: no crash", result)
        check(re.search(r"newer|format|version|\b2\.0\b", result.text) is not None,
              f"{what} of a newer format is named", result)
    shutil.rmtree(copy, ignore_errors=True)


def patch_log(path):
    for offset in (0, 2048):
        patch_major(path, offset)
        with open(path, "r+b") as file:
            file.seek(offset)
            head = file.read(76)
            file.write(struct.pack("<I", crc32c(head)))


GROUP = struct.Struct("<4sIB3xIIIIIQQQ8x")  # docs/formats/log.md


def groups_of(path):
    """The groups of a log segment, in order: (offset, fields of GROUP). What an earlier life of the file left behind
    has another segment's number."""
    with open(path, "rb") as file:
        data = file.read()
    number, offset = int(os.path.basename(path).partition("-")[2], 16), 4096
    while offset + GROUP.size <= len(data):
        group = GROUP.unpack_from(data, offset)
        magic, _, _, segment, block, _, length = group[:7]
        if magic != b"TLG1" or segment != number or block != offset // 4096:
            return
        yield offset, group
        offset += (GROUP.size + length + 4095) // 4096 * 4096


def last_group(directory, log):
    """(path, offset, group) of the group that was written last; None when there is none."""
    last = None
    for path in glob.glob(os.path.join(glob.escape(directory), "log", f"{log:02x}-*")):
        if path.endswith(".new"):
            continue
        for offset, group in groups_of(path):
            first, count = group[8], group[5]
            if not last or (first, count) >= (last[2][8], last[2][5]):
                last = (path, offset, group)
    return last


def tear(path, offset, group):
    """Writes a next group whose header is there and whose records are not: what a power cut leaves of a write."""
    _, _, log, segment, block, count, length, _, first, synced, released = group
    with open(path, "r+b") as file:
        seed = crc32c(file.read(80))
        block += (GROUP.size + length + 4095) // 4096
        head = GROUP.pack(b"TLG1", 0, log, segment, block, 3, 700, 1, first + count, synced, released)
        file.seek(block * 4096)
        file.write(head[:4] + struct.pack("<I", crc32c(head[8:], seed)) + head[8:] + random.Random(9).randbytes(350))


def garble(path, offset, group):
    """The last group's own records. A marker has none: all before it is known to be durable, and nothing is torn."""
    length = group[6]
    if length == 0:
        return False
    with open(path, "r+b") as file:
        file.seek(offset + GROUP.size + length - 20)
        file.write(random.Random(9).randbytes(20))
    return True


def torn_tail(cluster):
    """A node's log with a half-written group behind its end, then with its last group garbled."""
    for what in ("torn", "garbled"):
        storm = Storm(cluster, rate=1500)
        storm.goes_on(1500)
        before = len(re.findall(r"wal\.recovered .*torn=1", cluster.log("node2")))
        cluster.dev("kill", "node2")
        hit = 0
        for log in range(2):
            last = last_group(cluster.data("node2"), log)
            if last and what == "torn":
                tear(*last)
                hit += 1
            elif last:
                hit += garble(*last)
        started = cluster.dev("start", "node2")
        check(hit > 0 and started.code == 0, f"a log whose end is {what}: the node starts",
              f"{started}\n{cluster.log('node2')[-1500:]}")
        check(len(re.findall(r"wal\.recovered .*torn=1", cluster.log("node2"))) - before == hit,
              f"and says so of {hit} logs", re.findall(r".*wal\.recovered.*", cluster.log("node2"))[-4:])
        storm.goes_on(200)
        check(storm.stop(), "the client ends in order", storm.output)
        if not cluster.pid("node2"):
            cluster.up()
        storm.judge(f"after a log whose end was {what}")


def clock_set_back(cluster):
    """One node, then everything, comes back with a wall clock that was set back; then with the right one."""
    little, much, far = cluster.shifted(-400), cluster.shifted(-60000), cluster.shifted(-2 * 3600 * 1000)
    if not much:
        skip("a clock that is set back at restart",
             "lib/libclock_shift.so does not lie beside the programs, or in a path with a blank")
        return
    storm = Storm(cluster)
    storm.goes_on(300)
    stopped = cluster.dev("stop", "node1")
    started = cluster.dev("start", "node1", env=little)
    check(stopped.code == 0 and started.code == 0, "a node starts with a clock 0.4 s behind", started)
    storm.goes_on(300)
    check(storm.stop(), "the client ends in order", storm.output)
    failures = storm.failures()
    check(not failures, "and no request fails", "\n".join(failures[:10]))
    storm.judge("after a node's clock was set back a little")
    before = cluster.msgctl("message", "send", 80, "before").out.strip()
    cluster.dev("down")
    up = cluster.up(env=much)
    check(up.code == 0, "the whole cluster starts with clocks a minute behind", up)
    listed = cluster.msgctl("message", "get", 80, before)
    check(listed.code == 0 and "before" in listed.out, "what was acknowledged is there", listed)
    edited = cluster.msgctl("message", "edit", 80, before, "edited under the older clock")
    listed = cluster.msgctl("message", "get", 80, before)
    check(edited.code == 0 and "older clock" in listed.out, "it can be edited, although its id lies in the future",
          f"{edited}\n{listed}")
    sent = [cluster.msgctl("message", "send", channel, "after", "--deadline", "5s") for channel in range(80, 88)]
    check(all(one.code == 0 and int(one.out) > int(before) for one in sent),
          "sends are accepted, and new ids are above those given out before", f"{before} {sent}")
    status = cluster.msgctl("status")
    check("behind the ids given before" in status.out, "the status names the clock", status)
    check("clock.set_back" in cluster.log("router1"), "so does the router's log")
    # Two hours are too much: no ids, and everything says why; what does not need new ids goes on.
    cluster.dev("down")
    cluster.dev("up", *cluster.shape, seconds=5, env=far)
    check(wait_until(lambda: "gives none" in cluster.msgctl("status").out, 30),
          "with clocks hours behind the status says what to do", cluster.msgctl("status"))
    ready = cluster.http("router1", "/readyz")
    check(ready[0] == 503 and "set this host's clock right" in ready[1], "so does /readyz", ready)
    refused = cluster.msgctl("message", "send", 80, "refused", "--deadline", "1s")
    check(refused.code != 0 and refused.err.strip() != "", "a send is refused with a sentence", refused)
    check("older clock" in cluster.msgctl("message", "get", 80, before).out,
          "what was acknowledged is there all the same")
    cluster.dev("down")
    up = cluster.up()
    again = cluster.msgctl("message", "send", 80, "again")
    # Above what was given when the clocks were right; while they catch up, each router goes on above its own ids alone.
    check(up.code == 0 and again.code == 0 and int(again.out) > int(before),
          "with the right clocks all is as before", f"{up}\n{before} {sent[0]}\n{again}")

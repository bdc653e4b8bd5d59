"""What tests of real processes stand on: a cluster under a directory of its own, its daemons, the client, counts.

Everything that is started here is ended here, also when a test fails half-way. Every wait has an end.
"""
import atexit
import concurrent.futures
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BASES = {"controller": 7100, "node": 7300, "router": 7200}
PROGRAMS = {"controller": "controld", "node": "noded", "router": "routerd"}
NETWORKS = {"controller": 1, "node": 2, "router": 3}


class Counts:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []


counts = Counts()
printing = threading.RLock()
started = time.monotonic()


def say(text, more=()):
    aside = "" if threading.current_thread() is threading.main_thread() else "(aside) "
    with printing:
        print(f"[{time.monotonic() - started:6.1f}] {aside}{text}", flush=True)
        for line in more:
            print(f"          {line}", flush=True)


def check(condition, statement, detail=""):
    """One assertion. statement says what is true when it holds."""
    with printing:
        counts.passed += bool(condition)
        counts.failed += not condition
        if not condition:
            counts.failures.append(statement)
    if condition:
        say(f"ok    {statement}")
    else:
        say(f"FAIL  {statement}", str(detail).rstrip().splitlines()[-25:])
    return bool(condition)


def skip(statement, why):
    counts.skipped += 1
    say(f"skip  {statement}: {why}")


def wait_until(condition, seconds, pause=0.05):
    """True as soon as condition() is; False after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        if condition():
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(pause)


class Result:
    def __init__(self, code, out, err=""):
        self.code, self.out, self.err = code, out, err

    @property
    def text(self):
        return self.out + self.err

    def __repr__(self):
        return f"exit {self.code}\n{self.text}"


def run(command, seconds, env=None, stdin=None):
    """Runs a command to its end; 124 when it took too long (it is killed then)."""
    process = subprocess.Popen(command, cwd=ROOT, env=env,
                               stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        out, err = process.communicate(stdin, timeout=seconds)
        code = process.returncode
    except subprocess.TimeoutExpired:
        # Daemons that ./dev started have sessions of their own; this ends the command alone.
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        code = 124
    return Result(code, out.decode(errors="replace"), err.decode(errors="replace"))


def http(address, port, path, seconds=5):
    """(status code, body), or (0, why)."""
    try:
        with socket.create_connection((address, port), timeout=seconds) as s:
            s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            data = b""
            while True:
                more = s.recv(65536)
                if not more:
                    break
                data += more
    except OSError as error:
        return 0, str(error)
    head, _, body = data.partition(b"\r\n\r\n")
    words = head.split()
    return (int(words[1]) if len(words) > 1 else 0), body.decode(errors="replace")


class Cluster:
    """A cluster that ./dev runs in directory."""

    all = []

    def __init__(self, directory, binaries, shape=(), launcher=()):
        self.directory, self.binaries, self.shape = directory, binaries, list(shape)
        self.launcher = list(launcher)  # ./dev and all that it starts run under this
        self.env = dict(os.environ, TRILLIUM_BIN=binaries, TRILLIUM_CONFIG=os.path.join(directory, "msgctl.yaml"),
                        XDG_STATE_HOME=directory + ".state", NO_COLOR="1")
        Cluster.all.append(self)

    def dev(self, *arguments, seconds=90, env=None):
        return run([*self.launcher, "./dev", *arguments, "--dir", self.directory], seconds,
                   dict(self.env, **(env or {})))

    def shifted(self, ms):
        """The environment in which started daemons see a wall clock that is so much ahead, or None."""
        shim = os.path.join(os.path.dirname(self.binaries), "lib", "libclock_shift.so")
        return {"LD_PRELOAD": shim, "CLOCK_SHIFT_MS": str(ms)} if os.path.exists(shim) and " " not in shim else None

    def up(self, *arguments, env=None):
        return self.dev("up", *self.shape, *arguments, seconds=100, env=env)

    def msgctl(self, *arguments, seconds=60, stdin=None):
        return run([os.path.join(self.binaries, "msgctl"), *map(str, arguments)], seconds, self.env, stdin)

    def json(self, *arguments, seconds=60):
        """What msgctl -o json says; {} when it fails."""
        result = self.msgctl(*arguments, "-o", "json", seconds=seconds)
        try:
            return json.loads(result.out)
        except ValueError:
            return {}

    def client(self, *arguments, seconds=120):
        return run([os.path.join(self.binaries, "cluster_client"), arguments[0], "--routers", self.routers,
                    *map(str, arguments[1:])], seconds, self.env)

    # ---- its shape ----

    @property
    def made(self):
        with open(os.path.join(self.directory, "cluster"), encoding="utf-8") as file:
            return dict(line.strip().split("=", 1) for line in file)

    @property
    def number(self):
        return int(self.made["number"])

    def names(self, kind=None):
        made = self.made
        return [f"{k}{i}" for k in BASES for i in range(1, int(made[k + "s"]) + 1) if kind in (None, k)]

    def address(self, name):
        kind, index = re.match(r"([a-z]+)(\d+)", name).groups()
        return f"127.{self.number}.{NETWORKS[kind]}.{index}"

    def port(self, name):
        return BASES[re.match("[a-z]+", name).group()]

    def program(self, name):
        return os.path.join(self.binaries, PROGRAMS[re.match("[a-z]+", name).group()])

    @property
    def routers(self):
        return ",".join(self.address(name) for name in self.names("router"))

    def conf(self, name):
        return os.path.join(self.directory, "conf", name + ".yaml")

    def data(self, name):
        return os.path.join(self.directory, "data", name)

    # ---- its processes ----

    def pid(self, name):
        """The process of a daemon, 0 when it does not run."""
        try:
            with open(os.path.join(self.directory, "pids", name), encoding="utf-8") as file:
                pid, start = file.read().split()
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except (OSError, ValueError):
            return 0
        return int(pid) if fields[19] == start and fields[0] != "Z" else 0

    def pids(self):
        return {name: self.pid(name) for name in self.names()}

    def http(self, name, path):
        return http(self.address(name), self.port(name) + 99, path)

    def metric(self, name, metric):
        """The sum of a metric's series, 0 when there is none."""
        total = 0.0
        for line in self.http(name, "/metrics")[1].splitlines():
            if re.match(re.escape(metric) + r"[ {]", line):
                total += float(line.rpartition(" ")[2])
        return total

    def is_ready(self, name):
        return self.http(name, "/readyz")[0] == 200

    def all_ready(self, seconds=30):
        return wait_until(lambda: all(self.is_ready(name) for name in self.names()), seconds, 0.1)

    def leader(self):
        for name in self.names("controller"):
            if "leading" in self.http(name, "/readyz")[1]:
                return name
        return None

    def log(self, name):
        text = ""
        for suffix in (".log.1", ".log", ".out"):
            path = os.path.join(self.directory, "logs", name + suffix)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    text += file.read()
        return text

    def logs(self, kind=None):
        return "".join(self.log(name) for name in self.names(kind))

    def kill_at_once(self, names):
        """kill -9 as a power cut would: all in one go, and ./dev learns nothing of it."""
        pids = [self.pid(name) for name in names]
        for pid in pids:
            if pid:
                os.kill(pid, signal.SIGKILL)
        return wait_until(lambda: not any(self.pid(name) for name in names), 10)

    def end(self):
        if os.path.exists(os.path.join(self.directory, "cluster")):
            self.kill_at_once(self.names())


class Storm:
    """The client that writes and reads until it is stopped; then what it saw is judged."""

    all = []
    number = 0

    def __init__(self, cluster, rate=300, deadline_ms=10000, channels=24, first_channel=None):
        Storm.number += 1
        self.cluster, self.channels = cluster, channels
        self.first_channel = first_channel or 1000000 * Storm.number
        self.path = os.path.join(cluster.directory + ".state", f"storm{Storm.number}")
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self.process = subprocess.Popen(
            [os.path.join(cluster.binaries, "cluster_client"), "storm", "--routers", cluster.routers, "--rate",
             str(rate),
             "--deadline-ms", str(deadline_ms), "--writers", "6", "--readers", "3", "--channels", str(channels),
             "--first-channel", str(self.first_channel), "--seed", str(Storm.number), "--history",
             self.path + ".history",
             "--failures", self.path + ".failures", "--progress", self.path + ".progress"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        Storm.all.append(self)

    def stop(self):
        """Ends it; True when it left a history."""
        self.process.terminate()
        try:
            self.output = self.process.communicate(timeout=40)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.output = "the client did not end: " + self.process.communicate()[0].decode(errors="replace")
        return self.process.returncode == 0

    def goes_on(self, operations, seconds=40):
        """Returns when so many more operations were done: how long a fault acts is told in what clients did."""
        begin = self.progress()
        if not wait_until(lambda: self.progress() >= begin + operations, seconds):
            check(False, f"clients do {operations} operations in {seconds} s", self.failures()[-10:])

    def progress(self):
        path = self.path + ".progress"
        return os.path.getsize(path) // 2 * 10 if os.path.exists(path) else 0

    def failures(self, since=0.0, until=float("inf")):
        """Lines of calls that were not done and had begun in this time (time.monotonic())."""
        if not os.path.exists(self.path + ".failures"):
            return []
        with open(self.path + ".failures", encoding="utf-8") as file:
            return [line.strip() for line in file if since <= int(line.split()[0]) / 1e6 < until]

    def done(self, since, until):
        """How many writes and reads that had begun in this time were done: (writes, reads)."""
        writes = reads = 0
        with open(self.path + ".history", encoding="utf-8") as file:
            for line in file:
                begun = re.search(r" invoke=(\d+)", line)
                if not begun or not since <= int(begun.group(1)) / 1e6 < until:
                    continue
                if not re.search(r"outcome=(ok|superseded|deleted)", line):
                    continue
                if line.startswith(("create", "edit", "delete")):
                    writes += 1
                else:
                    reads += 1
        return writes, reads

    def judge(self, statement):
        """With every node back: reads everything at ALL, asks the checker, compares the replicas of every channel."""
        cluster = self.cluster
        arguments = ["--channels", self.channels, "--first-channel", self.first_channel, "--seed", 1000 + Storm.number,
                     "--history", self.path + ".history"]
        read = cluster.client("readall", "--level", "all", "--deadline-ms", 20000, *arguments)
        check(read.code == 0, f"{statement}: everything can be read at ALL", read)
        verdict = run([os.path.join(cluster.binaries, "checker"), self.path + ".history"], 60)
        check(verdict.code == 0,
              f"{statement}: the checker finds nothing lost or wrong ({verdict.out.strip().splitlines()[-1:]})",
              verdict)
        check_all_equal(cluster, statement, range(self.first_channel, self.first_channel + self.channels))


class Rise:
    """By how much a counter of all routers has risen since this was made. Counters begin anew with each start; what a
    stopped router counted after the last look is lost."""

    def __init__(self, cluster, metric):
        self.cluster, self.metric, self.total = cluster, metric, 0
        self.seen = {name: cluster.metric(name, metric) for name in cluster.names("router")}

    def look(self):
        for name, before in self.seen.items():
            now = self.cluster.metric(name, self.metric)
            self.total += now - before if now >= before else now
            self.seen[name] = now
        return self.total


def calls_answered(cluster, count, seconds=40):
    """Returns when routers have answered so many client calls more."""
    rise = Rise(cluster, "trillium_router_calls_total")
    if not wait_until(lambda: rise.look() >= count, seconds):
        check(False, f"routers answer {count} calls in {seconds} s", rise.total)


class RouterFailures:
    """What routers answered with a class RETRY or UNKNOWN since this was made, whether or not a client's repeat hid it:
    by their counters, and by their logs, which have the end of a stopped one too."""

    def __init__(self, cluster):
        self.cluster, self.counted = cluster, Rise(cluster, "trillium_router_failures_total")
        self.lines = {name: len(self.logged(name)) for name in cluster.names("router")}

    def logged(self, name):
        return re.findall(r".*call\.failed.*", self.cluster.log(name))

    def check_none(self, statement):
        lines = [line for name, before in self.lines.items() for line in self.logged(name)[before:]]
        check(self.counted.look() == 0 and not lines, f"{statement}: no router answers a failure",
              f"{self.counted.total:.0f} counted\n" + "\n".join(lines[-20:]))


def check_replicas(cluster, channels, statement):
    """Rows and digest of every replica of every channel are equal."""
    channels = sorted({str(channel) for channel in channels})

    def look(some):
        found = []

        def answered():
            found[:] = cluster.json("channel", "inspect", *some, "--replicas", seconds=60).get("channels", [])
            return len(found) == len(some) and all(r["status"] == "OK" for one in found for r in one["replicas"])

        # A router dials a node that was away every 2 s at the latest. The last answer is judged.
        wait_until(answered, 12, 0.5)
        equal = {one["channel_id"] for one in found if one["replicas"] and
                 len({(r["status"], r["rows"], r["digest"]) for r in one["replicas"]}) == 1 and
                 one["replicas"][0]["status"] == "OK"}
        return [f"channel {channel}: {[one for one in found if one['channel_id'] == channel]}"
                for channel in some if channel not in equal]

    # A pair for each call at least: what one channel answers as JSON is not in a list.
    groups = [channels[at:at + 32] for at in range(0, len(channels) - 1, 32)]
    if len(channels) % 32 == 1:
        groups[-1].append(channels[-1])
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        wrong = [line for lines in pool.map(look, groups) for line in lines]
    check(groups and not wrong, f"{statement}: all replicas of {len(channels)} channels are equal", "\n".join(wrong))


def check_all_equal(cluster, statement, channels=()):
    """A read of everything at ALL leaves the replicas of every channel equal; channels: also such as may be empty."""
    read = cluster.msgctl("export", "--level", "all", seconds=120)
    listed = [one["channel_id"] for one in cluster.json("channel", "list", seconds=60).get("channels", [])]
    shown = {json.loads(line)["channel_id"] for line in read.out.split("\n") if line}
    check(read.code == 0 and shown == set(listed), f"{statement}: a read of everything at ALL ({len(listed)} channels)",
          read.err)
    check_replicas(cluster, [*listed, *channels], statement)


# ---- files ----

def crc32c(data, seed=0):
    crc = seed ^ 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def crc_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    return table


CRC_TABLE = crc_table()


def read_lines(path):
    """The lines of a corpus, plain or .zst or .gz."""
    if path.endswith((".zst", ".gz")):
        data = subprocess.run(["zstd" if path.endswith(".zst") else "gzip", "-dc", path], check=True, timeout=120,
                              stdout=subprocess.PIPE).stdout
    else:
        with open(path, "rb") as file:
            data = file.read()
    return [line for line in data.decode().split("\n") if line]


def write_model(path, messages):
    """messages: (channel, id, author, content); the client's verify reads this."""
    with open(path, "w", encoding="ascii") as file:
        for channel, message, author, content in messages:
            data = content.encode()
            file.write(f"message {channel} {message} {author} {data.hex() or '-'}\n")


# ---- the end ----

scratch = None


def make_scratch(keep):
    global scratch
    # A blank in the path: every command has to bear it.
    scratch = tempfile.mkdtemp(prefix="trillium cluster ")

    def clean():
        for storm in Storm.all:
            if storm.process.poll() is None:
                storm.process.kill()
        for cluster in Cluster.all:
            cluster.end()
        if keep or counts.failed:
            print(f"its files stay in {scratch}")
        else:
            shutil.rmtree(scratch, ignore_errors=True)

    atexit.register(clean)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    return scratch



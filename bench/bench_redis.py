"""redis: inserts, latest-50 reads, import and export beside Redis with synced appends, in turns on one machine."""
import itertools
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from harness import BIN, PORTS, ROOT, Cluster, Failed

sys.path.insert(0, os.path.join(ROOT, "tests/cluster"))
from corpus import generate  # noqa: E402

CONTENT_BYTES = 200
IN_FLIGHT = 3200
LATEST_IN_FLIGHT = 512
CHANNELS = 1000
PAIRS = 6  # ABBA: two of ours, two of Redis each
QUIET_SECONDS = 3
CORPUS_LINES = 100_000
PORT = 7190


def say(text):
    print(text, file=sys.stderr, flush=True)


class Redis:
    """redis-server with every append synced before it is acknowledged, on the file system of the clusters."""

    def __enter__(self):
        if not shutil.which("redis-server"):
            raise Failed("redis-server is missing; ./dev setup bench installs it")
        self.dir = tempfile.mkdtemp(prefix="trillium-redis-", dir=os.environ.get("TRILLIUM_BENCH_DIR", "/var/tmp"))
        self.server = subprocess.Popen(
            ["redis-server", "--port", str(PORT), "--bind", "127.0.0.1", "--dir", self.dir, "--appendonly", "yes",
             "--appendfsync", "always", "--save", ""], stdout=subprocess.DEVNULL)
        self.pids = [self.server.pid]
        try:
            self.wait_ready()
            fill = (f"for i = 0, {CHANNELS - 1} do for j = 1, 50 do "
                    f"redis.call('rpush', string.format('list:%012d', i), string.rep('x', {CONTENT_BYTES})) end end")
            self.cli("eval", fill, "0")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.server.send_signal(signal.SIGCONT)
        self.server.terminate()
        self.server.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def cli(self, *words):
        done = subprocess.run(["redis-cli", "-p", str(PORT), *words], capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    def wait_ready(self):
        for _ in range(200):
            if self.server.poll() is not None:
                raise Failed(f"redis-server ended with {self.server.returncode}; is port {PORT} taken?")
            if self.cli("ping") == "PONG":
                return
            time.sleep(0.05)
        raise Failed("redis-server does not answer")

    def rate(self, *words, calls):
        command = ["redis-benchmark", "-p", str(PORT), "-c", "50", "-n", str(int(calls)), "--csv", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        try:
            return float(done.stdout.strip().splitlines()[-1].split('","')[1])
        except (IndexError, ValueError):
            raise Failed(f"redis-benchmark said: {done.stdout.strip()} {done.stderr.strip()}") from None

    def insert(self, calls):
        return self.rate("-t", "set", "-d", str(CONTENT_BYTES), "-P", "64", "-r", "1000000", calls=calls)

    def latest(self, calls):
        return self.rate("-P", "1", "-r", str(CHANNELS), "lrange", "list:__rand_int__", "0", "49", calls=calls)


def wait_served(cluster):
    for name in cluster.pids:
        kind = name.rstrip("0123456789")
        for _ in range(400):
            try:
                with urllib.request.urlopen(f"http://{cluster.address(name)}:{PORTS[kind]}/readyz", timeout=2):
                    break
            except OSError:
                time.sleep(0.05)
        else:
            raise Failed(f"{name} is not ready again 20 s after it was stopped")


def only(side, other):
    """Stops the other side's processes; whoever goes on has quiet seconds before he is measured."""
    for pid in other.pids if isinstance(other.pids, list) else other.pids.values():
        os.kill(pid, signal.SIGSTOP)
    for pid in side.pids if isinstance(side.pids, list) else side.pids.values():
        os.kill(pid, signal.SIGCONT)
    if isinstance(side, Cluster):
        wait_served(side)
    time.sleep(QUIET_SECONDS)


def alternate(name, cluster, redis, ours, theirs):
    """ours() and theirs() give rates. Ratio: the median over ABBA pairs; A/A: what two runs of one side differ by."""
    ratios, same, rates = [], [], {"ours": [], "redis": []}
    for _ in range(PAIRS):
        block = []
        for side in ("ours", "redis", "redis", "ours"):
            if not block or block[-1][0] != side:
                only(cluster, redis) if side == "ours" else only(redis, cluster)
            block.append((side, ours() if side == "ours" else theirs()))
            rates[side].append(round(block[-1][1]))
        ratios += [block[0][1] / block[1][1], block[3][1] / block[2][1]]
        same += [block[1][1] / block[2][1], block[0][1] / block[3][1]]
    out = {"name": name, "ratio": round(statistics.median(ratios), 3),
           "a_a": [round(min(same), 2), round(max(same), 2)],
           **{side: round(statistics.median(values)) for side, values in rates.items()}, "rates": rates}
    say(f"  {name:<24}{out['ours']:>10}{out['redis']:>10}{out['ratio']:>8}{out['a_a'][0]:>8} to {out['a_a'][1]}")
    return out


def one_size(nodes, redis, seconds):
    def load(mode, inflight):
        case = cluster.load("--mode", mode, "--inflight", inflight, "--content-bytes", CONTENT_BYTES,
                            "--channels", CHANNELS, seconds=seconds)
        if case["failed"]:
            raise Failed(f"{case['failed']} calls failed; a rate with failures is none")
        return case["ops_per_s"]

    with Cluster(nodes) as cluster:
        say(f"\n{nodes} node{'s' if nodes > 1 else ''}, replication {min(3, nodes)}, QUORUM")
        say(f"  {'':<24}{'ours/s':>10}{'Redis/s':>10}{'ratio':>8}{'A/A':>8}")
        only(redis, cluster)
        sets, ranges = redis.insert(200_000) * seconds, redis.latest(50_000) * seconds
        cases = [alternate("insert", cluster, redis, lambda: load("insert", IN_FLIGHT), lambda: redis.insert(sets)),
                 alternate("latest 50", cluster, redis, lambda: load("latest", LATEST_IN_FLIGHT),
                           lambda: redis.latest(ranges))]
        only(cluster, redis)  # it can only be taken down while it runs
    if nodes > 1:
        cases += files(nodes, redis, seconds)
    return {"nodes": nodes, "cases": cases}


def files(nodes, redis, seconds):
    """Import of generated corpora, each new to the cluster, and export of all of them, beside SETs."""
    seeds = itertools.count(1)

    def msgctl(*words, output):
        began = time.monotonic()
        with open(output, "wb") as file:
            done = subprocess.run([os.path.join(BIN, "msgctl"), *words], stdout=file, stderr=subprocess.PIPE,
                                  timeout=300, env=environment)
        if done.returncode != 0:
            raise Failed(f"msgctl {words[0]}: {done.stderr.decode().strip()}")
        return time.monotonic() - began

    def write():
        lines = generate(CORPUS_LINES, next(seeds))
        with open(corpus, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        return len(lines) / msgctl("import", corpus, output=os.devnull)

    def read():
        took = msgctl("export", output=corpus)
        with open(corpus, "rb") as file:
            return sum(1 for _ in file) / took

    with Cluster(nodes) as cluster:
        corpus = os.path.join(cluster.dir, "corpus.ndjson")
        environment = dict(os.environ, TRILLIUM_CONFIG=os.path.join(cluster.dir, "msgctl.yaml"),
                           XDG_STATE_HOME=os.path.join(cluster.dir, "state"))
        only(redis, cluster)
        sets = redis.insert(200_000) * seconds
        cases = [alternate("import", cluster, redis, write, lambda: redis.insert(sets)),
                 alternate("export", cluster, redis, read, lambda: redis.insert(sets))]
        only(cluster, redis)
    return cases


def run(arguments):
    with Redis() as redis:
        return {"benchmark": "redis", "content_bytes": CONTENT_BYTES,
                "sizes": [one_size(nodes, redis, arguments.seconds) for nodes in arguments.nodes or [1, 3]]}

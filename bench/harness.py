"""A cluster to measure: started by ./dev in a directory of its own, sampled from /proc and /metrics, always removed."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.environ.get("TRILLIUM_BIN", os.path.join(ROOT, "build/release/bin"))
PORTS = {"controller": 7199, "node": 7399, "router": 7299}
NETS = {"controller": 1, "node": 2, "router": 3}
TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """Said to the person as one line."""


class Cluster:
    def __init__(self, nodes, shards=2, routers=2, settings=()):
        self.dir = tempfile.mkdtemp(prefix="trillium-bench-", dir=os.environ.get("TRILLIUM_BENCH_DIR", "/var/tmp"))
        self.shape = ["--nodes", str(nodes), "--shards", str(shards), "--routers", str(routers)]
        self.nodes = nodes
        self.settings = " ".join(settings)
        self.pids = {}

    def __enter__(self):
        try:
            self.dev("up", *self.shape, timeout=180)
            self.read()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.dev("down", "--wipe", timeout=120)
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    def dev(self, *arguments, timeout):
        environment = dict(os.environ, TRILLIUM_BIN=BIN, TRILLIUM_SET=self.settings)
        command = [os.path.join(ROOT, "dev"), *arguments, "--dir", self.dir]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)
        if done.returncode != 0:
            raise Failed(f"./dev {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}")

    def read(self):
        with open(os.path.join(self.dir, "cluster"), encoding="ascii") as file:
            self.number = dict(line.strip().split("=", 1) for line in file)["number"]
        for name in os.listdir(os.path.join(self.dir, "pids")):
            with open(os.path.join(self.dir, "pids", name), encoding="ascii") as file:
                self.pids[name] = int(file.read().split()[0])

    def address(self, name):
        kind = name.rstrip("0123456789")
        return f"127.{self.number}.{NETS[kind]}.{name[len(kind):]}"

    def routers(self):
        return ",".join(f"{self.address(name)}:7200" for name in sorted(self.pids) if name.startswith("router"))

    def load(self, *arguments, seconds, warmup=1):
        """One run of bench_load; what it printed."""
        command = [os.path.join(BIN, "bench_load"), "--routers", self.routers(), "--seconds", str(seconds),
                   "--warmup", str(warmup), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + warmup + 60)
        if not done.stdout.startswith("{"):
            raise Failed(f"bench_load said nothing: {done.stderr.strip()}")
        return json.loads(done.stdout)

    # ---- what daemons have used so far ----

    def cpu_us(self, name):
        with open(f"/proc/{self.pids[name]}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * TICK_US

    def written_bytes(self, name):
        with open(f"/proc/{self.pids[name]}/io", encoding="ascii") as file:
            return dict((key, int(value)) for key, value in (line.split(":") for line in file))["write_bytes"]

    def memory_bytes(self, name):
        with open(f"/proc/{self.pids[name]}/status", encoding="ascii") as file:
            return dict(line.split(":", 1) for line in file)["VmHWM"].split()[0]

    def metrics(self, name):
        kind = name.rstrip("0123456789")
        url = f"http://{self.address(name)}:{PORTS[kind]}/metrics"
        with urllib.request.urlopen(url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return {key: float(value) for key, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}

    def sample(self):
        """Sums by kind of daemon."""
        out = {}
        for name in self.pids:
            kind = name.rstrip("0123456789")
            series = self.metrics(name)
            one = out.setdefault(kind, {"cpu_us": 0, "written_bytes": 0, "frames": 0, "empties": 0, "frame_bytes": 0,
                                        "allocations": 0})
            one["allocations"] += series["trillium_allocations_total"]
            one["cpu_us"] += self.cpu_us(name)
            one["written_bytes"] += self.written_bytes(name)
            one["frames"] += series['trillium_rpc_frames_total{direction="sent"}']
            one["empties"] += series['trillium_rpc_empties_total{direction="sent"}']
            one["frame_bytes"] += series['trillium_rpc_bytes_total{direction="sent"}']
        return out

    def floor(self, rate, seconds):
        """What an acknowledged write costs over the same doors when nobody does any work, on the same file system."""
        directory = os.path.join(self.dir, "floor")
        os.makedirs(directory, exist_ok=True)
        command = [os.path.join(BIN, "bench_floor"), directory, *map(str, (min(3, self.nodes), rate, seconds))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
        if not done.stdout.startswith("{"):
            raise Failed(f"bench_floor said nothing: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def system_calls(self, work):
        """Runs work and returns what it returns, and the system calls of each kind of daemon meanwhile (None: there is
        no perf, or this user may not use it)."""
        counters = {}
        for kind in ("node", "router"):
            pids = ",".join(str(pid) for name, pid in self.pids.items() if name.startswith(kind))
            command = ["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", pids]
            try:
                counters[kind] = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            except FileNotFoundError:
                return work(), None
        result, calls = work(), {}
        for kind, counter in counters.items():
            counter.send_signal(signal.SIGINT)
            _, text = counter.communicate(timeout=30)
            first = text.strip().splitlines()[0].split(",")[0] if text.strip() else ""
            calls[kind] = int(first) if first.isdigit() else None
        return result, None if None in calls.values() else calls

    def file_bytes(self):
        """Apparent size of the nodes' immutable files, and of their logs."""
        files = logs = 0
        for root, _, names in os.walk(os.path.join(self.dir, "data")):
            for name in names:
                try:
                    size = os.path.getsize(os.path.join(root, name))
                except FileNotFoundError:
                    continue
                files += size if name.endswith(".sst") else 0
                logs += size if os.path.basename(root) == "log" else 0
        return files, logs


def difference(after, before):
    return {kind: {key: after[kind][key] - before[kind][key] for key in after[kind]} for kind in after}

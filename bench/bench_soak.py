"""soak: tens of millions of messages, edits, deletes and reads beside; then a kill, a restart, and deleting all."""
import glob
import json
import os
import subprocess
import sys
import threading
import time
from datetime import datetime

from harness import BIN, Cluster, Failed

INSERTS = {1: 30_000_000, 3: 10_000_000}
MIX = "insert=83,edit=5,delete=2,latest=10"
CHANNELS = 100_000
IN_FLIGHT = 2048
EVERY_SECONDS = 10
PLOT_ROWS = 10


def say(text=""):
    print(text, file=sys.stderr, flush=True)


def on_disk(directory, nodes):
    """Bytes and numbers of what the nodes keep, by kind of file."""
    out = {"tables": 0, "table_bytes": 0, "segments": 0, "log_bytes": 0}
    for node in nodes:
        for root, _, names in os.walk(os.path.join(directory, "data", node)):
            for name in names:
                try:
                    size = os.stat(os.path.join(root, name)).st_blocks * 512
                except FileNotFoundError:
                    continue
                if name.endswith(".sst"):
                    out["tables"] += 1
                    out["table_bytes"] += size
                elif os.path.basename(root) == "log":
                    out["segments"] += 1
                    out["log_bytes"] += size
    return out


class Watch(threading.Thread):
    """Every second: memory, descriptors, files of the nodes, and what the manifests name, until it is stopped."""

    def __init__(self, cluster):
        super().__init__()
        self.cluster, self.nodes = cluster, sorted(name for name in cluster.pids if name.startswith("node"))
        self.stopping, self.samples = threading.Event(), []

    def run(self):
        while not self.stopping.wait(1):
            now = on_disk(self.cluster.dir, self.nodes)
            now["rss_mib"] = max(self.rss_mib(node) for node in self.nodes)
            now["descriptors"] = max(len(os.listdir(f"/proc/{self.cluster.pids[node]}/fd")) for node in self.nodes)
            series = [self.cluster.metrics(node) for node in self.nodes]
            named = sum(value for one in series for key, value in one.items()
                        if key.startswith("trillium_node_table_bytes"))
            now["temporary_share"] = round(max(0, now["table_bytes"] - named) / max(named, 64 << 20), 3)
            self.samples.append(now)

    def rss_mib(self, node):
        with open(f"/proc/{self.cluster.pids[node]}/status", encoding="ascii") as file:
            return int(dict(line.split(":", 1) for line in file)["VmRSS"].split()[0]) >> 10

    def stop(self):
        self.stopping.set()
        self.join()
        return self.samples


def plot(title, values):
    """Rows of a text plot, the largest value on top."""
    top = max(values) or 1
    say(f"\n  {title}, most {top:.1f}")
    for row in range(PLOT_ROWS, 0, -1):
        say("  |" + "".join("#" if value * PLOT_ROWS > top * (row - 1) else " " for value in values))
    say("  +" + "-" * len(values))


def pour(cluster, inserts):
    """The load itself; lines of every ten seconds and the total."""
    command = [os.path.join(BIN, "bench_load"), "--routers", cluster.routers(), "--mix", MIX, "--zipf", "1",
               "--channels", str(CHANNELS), "--inflight", str(IN_FLIGHT), "--every", str(EVERY_SECONDS), "--seconds",
               "100000", "--count", str(inserts), "--warmup", "0"]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
        for text in load.stdout:
            lines.append(json.loads(text))
            if "at_s" in lines[-1]:
                now = lines[-1]
                say(f"  {now['at_s']:>7.0f} s {now['inserted']:>10} inserted, "
                    f"{now['insert']['ops'] / EVERY_SECONDS:>7.0f}/s, p99 {now['insert']['p99_us'] / 1000:>6.1f} ms; "
                    f"reads p99 {now['latest']['p99_us'] / 1000:>6.1f} ms")
    if not lines or "mode" not in lines[-1]:
        raise Failed("bench_load ended without its total")
    return lines[:-1], lines[-1]


def tenth_rates(intervals, inserts):
    """Inserts a second while the second and while the last tenth went in."""
    def rate(low, high):
        inside = [one for one in intervals if low < one["inserted"] <= high]
        return sum(one["insert"]["ops"] for one in inside) / (len(inside) * EVERY_SECONDS) if inside else 0
    return rate(inserts * 0.1, inserts * 0.2), rate(inserts * 0.9, inserts)


def restart(cluster):
    """Kills node1 and starts it again: how long its log took, beside a bare read of the same segments."""
    log = os.path.join(cluster.dir, "logs/node1.log")
    cluster.dev("kill", "node1", timeout=30)
    segments = glob.glob(os.path.join(cluster.dir, "data/node1/log/*"))
    bare = json.loads(subprocess.run([os.path.join(BIN, "bench_scan"), *segments], capture_output=True, text=True,
                                     check=True).stdout)
    size = os.path.getsize(log)
    began = time.monotonic()
    cluster.dev("start", "node1", timeout=120)
    cluster.read()
    probe = cluster.load("--mode", "latest", "--inflight", "1", "--channels", CHANNELS, seconds=0.05, warmup=0)
    first_read = time.monotonic() - began
    with open(log, encoding="utf-8") as file:
        file.seek(size)
        stamps = {line.split()[3]: datetime.fromisoformat(line.split()[0].rstrip("Z")) for line in file
                  if len(line.split()) > 3}
    took = (stamps["node.recovered"] - stamps["daemon.start"]).total_seconds()
    return {"segment_bytes": bare["bytes"], "bare_s": bare["seconds"], "replay_s": took,
            "ratio": round(bare["seconds"] / took, 3), "first_read_s": round(first_read, 2), "failed": probe["failed"]}


def delete_all(cluster, nodes):
    """Purges every channel and merges everything; what is left on the disk."""
    environment = dict(os.environ, TRILLIUM_CONFIG=os.path.join(cluster.dir, "msgctl.yaml"))

    def msgctl(*words):
        command = [os.path.join(BIN, "msgctl"), *words, "--deadline", "10m"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)
        if done.returncode != 0:
            raise Failed(f"msgctl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    purged = cluster.load("--purge", "--channels", CHANNELS, seconds=600, warmup=0)
    msgctl("flush")
    msgctl("compact", "run")
    left = json.loads(msgctl("channel", "list", "-o", "json"))["channels"]
    return dict(on_disk(cluster.dir, nodes), purged=purged, channels_left=len(left))


def one_size(nodes, inserts):
    with Cluster(nodes) as cluster:
        say(f"\n{nodes} node{'s' if nodes > 1 else ''}, {inserts} inserts, {MIX}, {CHANNELS} channels by Zipf")
        watch = Watch(cluster)
        watch.start()
        try:
            intervals, total = pour(cluster, inserts)
        finally:
            samples = watch.stop()
        second, last = tenth_rates(intervals, inserts)
        plot("p99 of latest-50, ms", [one["latest"]["p99_us"] / 1000 for one in intervals])
        plot("inserts a second", [one["insert"]["ops"] / EVERY_SECONDS for one in intervals])
        out = {"nodes": nodes, "inserts": inserts, "failed": total["failed"], "second_tenth_per_s": round(second),
               "last_tenth_per_s": round(last), "last_to_second": round(last / second, 3) if second else 0,
               "most": {key: max(one[key] for one in samples) for key in samples[0]},
               "end": samples[-1], "intervals": intervals, "restart": restart(cluster)}
        out["after_delete"] = delete_all(cluster, watch.nodes)
        report(out)
    return out


def report(out):
    most, end, again, gone = out["most"], out["end"], out["restart"], out["after_delete"]
    say(f"\n  rate of the last tenth to that of the second: {out['last_to_second']} ({out['last_tenth_per_s']}/s to "
        f"{out['second_tenth_per_s']}/s); failed calls {out['failed']}")
    say(f"  most of a node: {most['rss_mib']} MiB resident, {most['descriptors']} descriptors; of all nodes: "
        f"{most['tables']} tables, {most['segments']} segments of {most['log_bytes'] >> 20} MiB")
    say(f"  tables at the end {end['table_bytes'] >> 20} MiB; temporary space at most "
        f"{most['temporary_share'] * 100:.0f} % of what is stored (or of 64 MiB)")
    say(f"  restart: log of {again['segment_bytes'] >> 20} MiB replayed in {again['replay_s']:.2f} s, bare read "
        f"{again['bare_s']:.2f} s (ratio {again['ratio']}); first read {again['first_read_s']} s after the start")
    say(f"  after deleting {gone['purged']['channels']} channels ({gone['purged']['seconds']} s) and merging: "
        f"{gone['tables']} tables, {gone['table_bytes'] >> 10} KiB, {gone['channels_left']} channels")


def run(arguments):
    asked = int((arguments.millions or 0) * 1e6)
    return {"benchmark": "soak", "sizes": [one_size(nodes, asked or INSERTS.get(nodes, INSERTS[3]))
                                           for nodes in arguments.nodes or [1, 3]]}

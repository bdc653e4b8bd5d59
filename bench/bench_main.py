"""main: acknowledged inserts and latest-50 reads of a one-node and a three-node cluster."""
import os
import platform
import statistics
import sys
import time

from harness import Cluster, difference

INFLIGHT = {"insert": [64, 640, 3200], "latest": [64, 512]}
FLOOR_PAIRS = 3
PER_OPERATION_INFLIGHT = [64, 1024]
QUIET_SECONDS = 1.2  # counters reach /metrics once a second


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "?")
    return {"cpus": os.cpu_count(), "cpu": model, "kernel": platform.release(),
            "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
            "load_before": os.getloadavg()[0]}


def say(text=""):
    print(text, file=sys.stderr, flush=True)


def header(nodes):
    say(f"\n{nodes} node{'s' if nodes > 1 else ''}, replication {min(3, nodes)}, QUORUM")
    say(f"  {'':<22}{'ops/s':>9}{'failed':>8}{'p50 ms':>9}{'p99':>9}{'p99.9':>9}{'max':>9}"
        f"{'client':>9}{'routers':>9}{'nodes':>8}{'frames':>9}{'load':>6}")
    say(f"  {'':<22}{'':>9}{'':>8}{'':>9}{'':>9}{'':>9}{'':>9}{'CPU us per operation':>26}{'per op':>9}")


def line(case):
    what = f"{case['mode']} " + (f"{case['inflight']} in flight" if case["loop"] == "closed"
                                 else f"at {case['offered_per_s']}/s")
    cpu = case["cpu_us_per_op"]
    say(f"  {what:<22}{case['ops_per_s']:>9}{case['failed']:>8}" +
        "".join(f"{case[key] / 1000:>9.2f}" for key in ("p50_us", "p99_us", "p999_us", "max_us")) +
        f"{cpu['client']:>9.1f}{cpu['routers']:>9.1f}{cpu['nodes']:>8.1f}{case['frames_per_op']:>9.3f}"
        f"{case['load']:>6.1f}")


def measure(cluster, mode, loop, value, seconds):
    before = cluster.sample()
    case = cluster.load("--mode", mode, "--inflight" if loop == "closed" else "--rate", value, seconds=seconds)
    time.sleep(QUIET_SECONDS)
    used = difference(cluster.sample(), before)
    ops = max(1, case["all_ops"])
    case["cpu_us_per_op"] = {"client": round(case["cpu_us"] / ops, 2)}
    for kind in used:
        case["cpu_us_per_op"][kind + "s"] = round(used[kind]["cpu_us"] / ops, 2)
    case["frames_per_op"] = round(sum(kind["frames"] + kind["empties"] for kind in used.values()) / ops, 4)
    case["frame_bytes_per_op"] = round(sum(kind["frame_bytes"] for kind in used.values()) / ops, 1)
    case["allocations_per_op"] = {kind + "s": round(used[kind]["allocations"] / ops, 3) for kind in used}
    case["load"] = os.getloadavg()[0]
    line(case)
    return case


def floors(cluster, seconds):
    """Writes at 1,000 a second beside the floor, in turns: the median of the ratios of their medians."""
    ratios, pairs = [], []
    for _ in range(FLOOR_PAIRS):
        floor = cluster.floor(1000, seconds)
        ours = cluster.load("--mode", "insert", "--rate", 1000, seconds=seconds)
        pairs.append({"floor_p50_us": floor["p50_us"], "p50_us": ours["p50_us"]})
        ratios.append(ours["p50_us"] / floor["p50_us"])
    out = {"ratio": round(statistics.median(ratios), 2), "pairs": pairs}
    say(f"  p50 of a write at 1,000/s to the floor: {out['ratio']} (" +
        ", ".join(f"{pair['p50_us'] / 1000:.2f} : {pair['floor_p50_us'] / 1000:.2f}" for pair in pairs) + " ms)")
    return out


def per_operation(seconds):
    """System calls and allocations of daemons per insert: one node, one router with one worker."""
    out = []
    with Cluster(1, routers=1) as cluster:
        say("\none node, one router: per insert")
        for inflight in PER_OPERATION_INFLIGHT:
            before = cluster.sample()
            case, calls = cluster.system_calls(
                lambda n=inflight: cluster.load("--mode", "insert", "--inflight", n, seconds=seconds))
            time.sleep(QUIET_SECONDS)
            used, ops = difference(cluster.sample(), before), max(1, case["all_ops"])
            one = {"inflight": inflight, "ops": ops,
                   "system_calls": calls and {kind: round(value / ops, 2) for kind, value in calls.items()},
                   "allocations": {kind: round(used[kind]["allocations"] / ops, 3) for kind in ("node", "router")}}
            out.append(one)
            say(f"  {inflight:>5} in flight: system calls " +
                (f"{one['system_calls']['router']} router + {one['system_calls']['node']} node" if calls
                 else "not measured (perf is missing, or needs root)") +
                f"; allocations {one['allocations']['router']} router + {one['allocations']['node']} node")
    return out


def one_size(nodes, seconds):
    cases = []
    with Cluster(nodes) as cluster:
        header(nodes)
        before = cluster.sample()["node"]["written_bytes"]
        for mode in ("insert", "latest"):
            for inflight in INFLIGHT[mode]:
                cases.append(measure(cluster, mode, "closed", inflight, seconds))
            most = max(case["ops_per_s"] for case in cases if case["mode"] == mode)
            for rate in (1000, most // 2):
                cases.append(measure(cluster, mode, "open", rate, seconds))
        inserted = sum(case["all_ops"] for case in cases if case["mode"] == "insert")
        stored = inserted * cases[0]["content_bytes"] * min(3, nodes)
        written = cluster.sample()["node"]["written_bytes"] - before
        floor = floors(cluster, seconds)
        files, logs = cluster.file_bytes()
        memory = {name: int(cluster.memory_bytes(name)) // 1024 for name in sorted(cluster.pids)}
    out = {"nodes": nodes, "cases": cases, "floor": floor, "memory_mib_most": memory, "content_bytes_stored": stored,
           "written_bytes": written, "written_per_stored": round(written / stored, 2), "file_bytes": files,
           "log_bytes": logs}
    say(f"  {inserted} messages; {out['written_per_stored']} bytes written per byte of content and replica; "
        f"files {files >> 20} MiB, logs {logs >> 20} MiB; most memory of a node "
        f"{max(size for name, size in memory.items() if name.startswith('node'))} MiB, "
        f"of a router {max(size for name, size in memory.items() if name.startswith('router'))} MiB")
    return out


def run(arguments):
    about = machine()
    say(f"{about['cpus']} x {about['cpu']}, {about['memory_mib']} MiB, Linux {about['kernel']}, "
        f"load before {about['load_before']:.1f}")
    return {"benchmark": "main", "machine": about,
            "per_operation": per_operation(arguments.seconds),
            "sizes": [one_size(nodes, arguments.seconds) for nodes in arguments.nodes or [1, 3]]}

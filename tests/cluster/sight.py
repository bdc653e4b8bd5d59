"""What can be seen of running daemons: health, metrics, logs, memory, processor, the example."""
import os
import re
import time

from harness import check, run, wait_until

SAMPLE = re.compile(r'^[a-zA-Z_:][a-zA-Z0-9_:]*'
                    r'(\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*"'
                    r'(,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*")*,?\})? '
                    r'(-?[0-9.]+(e[+-]?[0-9]+)?|NaN|[+-]Inf)$')


def metrics_faults(text):
    """Why a text is not what Prometheus reads; [] when it is."""
    faults, types, seen, ended = [], {}, set(), set()
    family = None
    for line in text.split("\n")[:-1]:
        kind = re.match(r"# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$", line)
        name = kind.group(2) if kind else re.match(r"[a-zA-Z0-9_:]*", line).group()
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        if base in types and types[base] == "histogram":
            name = base
        if name != family:
            if name in ended:
                faults.append(f"{name} comes in two places")
            ended.add(family)
            family = name
        if kind and kind.group(1) == "TYPE":
            if name in types or kind.group(3) not in ("counter", "gauge", "histogram", "summary", "untyped"):
                faults.append(line)
            types[name] = kind.group(3)
        elif not kind:
            if not SAMPLE.match(line) or line.rpartition(" ")[0] in seen or name not in types:
                faults.append(line)
            seen.add(line.rpartition(" ")[0])
    if not text.endswith("\n") or not seen:
        faults.append("no last newline, or nothing")
    return faults


def health(cluster):
    wrong = []
    for name in cluster.names():
        for path in ("/livez", "/readyz"):
            code, body = cluster.http(name, path)
            if code != 200 or not body.strip():
                wrong.append(f"{name} {path}: {code} {body}")
        code, body = cluster.http(name, "/metrics")
        wrong += [f"{name} /metrics: {code} {fault}" for fault in metrics_faults(body)[:5]]
        dropped = cluster.metric(name, "trillium_metrics_dropped_series")
        if dropped:
            wrong.append(f"{name}: {dropped} series did not fit the budget")
        if cluster.http(name, "/nothing")[0] != 404:
            wrong.append(f"{name} /nothing is not 404")
    check(not wrong, "/livez, /readyz and /metrics of all daemons, in Prometheus' form", "\n".join(wrong))


def not_ready(cluster):
    """A router that sees no controller and knows no view, a node that waits: /readyz says why."""
    cluster.kill_at_once(["node2", "node3"])
    failed = cluster.msgctl("message", "send", 42, "nobody can store this", "--deadline", "3s")
    check(failed.code in (1, 5) and failed.err.strip() != "", "a write without a quorum fails with a sentence", failed)
    up = cluster.up()
    check(up.code == 0, "both nodes start again", up)


def trace(cluster):
    """Another message under a taken id: the router's line and the replicas' lines carry the same trace."""
    sent = cluster.msgctl("message", "send", 79, "first")
    taken = cluster.msgctl("message", "send", 79, "second", "--deadline", "3s", "--id", sent.out.strip())
    check(taken.code == 1 and "ID_TAKEN" in taken.text, "another text under a taken id is refused by name", taken)
    found = []

    def both():
        traces = set(re.findall(r"call\.failed method=\S+ status=ID_TAKEN trace=([0-9a-f]{16})",
                                cluster.logs("router")))
        nodes = set(re.findall(r"call\.failed .*trace=([0-9a-f]{16})", cluster.logs("node")))
        found[:] = [traces, nodes]
        return traces & nodes - {"0" * 16}

    check(wait_until(both, 5), "the trace of a failed request is in the lines of router and replicas", found)


def example(cluster):
    path = os.path.join(cluster.binaries, "trillium_example")
    result = run([path, cluster.address("router1"), "4242"], 30)
    check(result.code == 0 and "how are you today?" in result.out and "oops" not in result.out,
          "the example program of libtrillium works", result)
    lines = open(os.path.join(os.path.dirname(__file__), "../../client/example.c"), encoding="utf-8").read().count("\n")
    check(lines <= 60, f"and is short ({lines} lines)")


def memory(cluster, when):
    """Pss of all daemons together below 600 MiB, each below its memory.max."""
    total, above = 0, []
    for name, pid in cluster.pids().items():
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            pss = int(re.search(r"^Pss: +(\d+)", file.read(), re.M).group(1))
        with open(cluster.conf(name), encoding="utf-8") as file:
            most = int(re.search(r"max: (\d+)MiB", file.read()).group(1)) * 1024
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            peak = int(re.search(r"^VmHWM:\s+(\d+)", file.read(), re.M).group(1))
        total += pss
        if peak > most:
            above.append(f"{name}: {peak} KiB at most, memory.max {most} KiB")
    check(total < 600 * 1024, f"{when}: all daemons use {total / 1024:.0f} MiB (Pss), below 600")
    check(not above, f"{when}: no daemon was ever above its memory.max", "\n".join(above))


def cpu_seconds(cluster):
    """Processor time of each daemon so far, by the scheduler's own account of all its threads, also those that ended:
    the clock of another process (clock_getcpuclockid(3)). Ticks are too coarse: a daemon takes one in seconds."""
    return {name: time.clock_gettime(~pid << 3 | 2) for name, pid in cluster.pids().items()}


def background(cluster):
    """What nodes did that was not asked for in that moment; while it grows they are not idle."""
    return [cluster.metric(name, metric) for name in cluster.names("node")
            for metric in ("trillium_node_flushed_bytes_total", "trillium_node_compacted_bytes_total")]


def idle(cluster, seconds=5):
    """What the daemons burn when nobody asks anything: their processor time, whatever the machine does beside them.
    What an earlier load left to flush and compact is waited for: a second in which nothing of it was done begins the
    measurement, and one that it fell into does not count."""
    for _ in range(10):
        before = background(cluster)
        time.sleep(1.1)  # nodes show their counts once a second
        begin, at = cpu_seconds(cluster), time.monotonic()
        if background(cluster) != before:
            continue
        time.sleep(seconds)
        took, end = time.monotonic() - at, cpu_seconds(cluster)
        if background(cluster) == before:
            break
    else:
        check(False, "idle: nodes come to rest after a load", background(cluster))
        return
    each = {name: (end[name] - begin[name]) * 100 / took for name in begin}
    total = sum(each.values())
    check(total < 5, f"idle: all daemons together take {total:.1f} % of a core, less than 5 "
          f"({', '.join(f'{name} {share:.1f}' for name, share in each.items())})")


def logs_bounded(cluster):
    """Each log and the one before it stay within log.bytes_max (and a little: the last line)."""
    above = []
    folder = os.path.join(cluster.directory, "logs")
    for name in os.listdir(folder):
        size = os.path.getsize(os.path.join(folder, name))
        if size > 4 * 1024 * 1024 + 65536:
            above.append(f"{name}: {size}")
    total = sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))
    check(not above, f"logs are bounded ({total / 1024:.0f} KiB now)", "\n".join(above))


def no_crash(cluster):
    """Nothing in any log says that one of our checks fired."""
    words = re.findall(r".*(?:CHECK|check failed|Sanitizer|assert|SIGSEGV|daemon\.die).*", cluster.logs())
    check(not words, "no daemon died of a check of its own", "\n".join(words))

"""link: the two backends of listeners, nng's and our own, in turns, on clusters that are the same otherwise."""
import os
import statistics
import sys

import bench_main
from harness import Cluster

BACKENDS = ["nng", "sp"]
CASES = [("insert", "closed", 64), ("insert", "closed", 1024), ("insert", "open", 1000), ("latest", "closed", 64),
         ("latest", "closed", 512), ("latest", "open", 1000)]
ROUNDS = 2  # of ABBA


def say(text=""):
    print(text, file=sys.stderr, flush=True)


def total_cpu(case):
    return sum(case["cpu_us_per_op"].values())


def summary(cases):
    """Medians of each backend's runs of one case, and what the second is of the first."""
    out = {}
    for backend in BACKENDS:
        runs = [case for case in cases if case["backend"] == backend]
        out[backend] = {
            "ops_per_s": statistics.median(case["ops_per_s"] for case in runs),
            "p50_us": statistics.median(case["p50_us"] for case in runs),
            "p99_us": statistics.median(case["p99_us"] for case in runs),
            "cpu_us_per_op": round(statistics.median(total_cpu(case) for case in runs), 1),
            "cpu_us_per_op_of": {kind: round(statistics.median(case["cpu_us_per_op"][kind] for case in runs), 1)
                                 for kind in ("client", "routers", "nodes")},
            "failed": sum(case["failed"] for case in runs)}
    first, second = (out[backend] for backend in BACKENDS)
    out["ratio"] = {key: round(second[key] / first[key], 3)
                    for key in ("ops_per_s", "p50_us", "p99_us", "cpu_us_per_op") if first[key]}
    return out


def one_size(nodes, seconds):
    clusters, cases = {}, []
    try:
        for backend in BACKENDS:
            clusters[backend] = Cluster(nodes, settings=[f"listen.backend={backend}"]).__enter__()
        bench_main.header(nodes)
        for mode, loop, value in CASES:
            for backend in (BACKENDS + BACKENDS[::-1]) * ROUNDS:
                case = bench_main.measure(clusters[backend], mode, loop, value, seconds)
                case["backend"], case["case"] = backend, f"{mode} {loop} {value}"
                cases.append(case)
    finally:
        for cluster in clusters.values():
            cluster.__exit__()
    names = list(dict.fromkeys(case["case"] for case in cases))
    table = {name: summary([case for case in cases if case["case"] == name]) for name in names}
    say(f"\n  medians, {nodes} node{'s' if nodes > 1 else ''}; sp by nng")
    say(f"  {'':<22}{'ops/s':>18}{'':>7}{'p50 ms':>16}{'':>7}{'CPU us per operation':>22}")
    for name, row in table.items():
        a, b, ratio = row["nng"], row["sp"], row["ratio"]
        say(f"  {name:<22}{a['ops_per_s']:>9.0f}{b['ops_per_s']:>9.0f}{ratio['ops_per_s']:>7.2f}"
            f"{a['p50_us'] / 1000:>8.2f}{b['p50_us'] / 1000:>8.2f}{ratio['p50_us']:>7.2f}"
            f"{a['cpu_us_per_op']:>11.1f}{b['cpu_us_per_op']:>11.1f}{ratio['cpu_us_per_op']:>7.2f}")
    return {"nodes": nodes, "cases": cases, "summary": table}


def run(arguments):
    about = bench_main.machine()
    say(f"{about['cpus']} x {about['cpu']}, Linux {about['kernel']}, load before {os.getloadavg()[0]:.1f}")
    return {"benchmark": "link", "machine": about,
            "sizes": [one_size(nodes, arguments.seconds) for nodes in arguments.nodes or [1, 3]]}

"""selftest: stops a server for 500 ms under an open loop, and asks that the histogram shows it as it must."""
import os
import signal
import sys
import threading
import time

from harness import Cluster

STOP_MS = 500
RATE = 500
SECONDS = 2
WARMUP = 0.5
STOP_AFTER = 1.2  # start and warm-up included
OVER_MS = 100


def stop_for_a_while(pids):
    time.sleep(STOP_AFTER)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(STOP_MS / 1000)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def run(_arguments):
    """One router, all reads: a call due t ms after the stop began waits 500 - t ms, so 400 ms' worth of calls take
    longer than 100 ms. An unstopped run before it shows how many do without."""
    with Cluster(1, shards=1, routers=1) as cluster:
        calm = cluster.load("--mode", "latest", "--rate", RATE, "--over-ms", OVER_MS, seconds=0.5, warmup=WARMUP)
        stopper = threading.Thread(target=stop_for_a_while, args=([cluster.pids["router1"]],))
        stopper.start()
        stopped = cluster.load("--mode", "latest", "--rate", RATE, "--over-ms", OVER_MS, seconds=SECONDS,
                               warmup=WARMUP)
        stopper.join()
    least = (STOP_MS - OVER_MS) * RATE // 1000
    checks = {
        "every intended call was counted": stopped["ops"] == RATE * SECONDS,
        "the longest call took as long as the stop": stopped["max_us"] >= (STOP_MS - 50) * 1000,
        f"at least {least * 9 // 10} calls were over {OVER_MS} ms": stopped["over"] >= least * 9 // 10,
        "the 99th percentile shows it": stopped["p99_us"] >= OVER_MS * 1000,
    }
    for text, holds in checks.items():
        print(f"  {'yes' if holds else 'NO '}  {text}", file=sys.stderr)
    held = sum(checks.values())
    print(f"{held} passed, {len(checks) - held} failed", file=sys.stderr)
    return {"benchmark": "selftest", "passed": all(checks.values()), "calm": calm, "stopped": stopped,
            "checks": checks}

"""Daemons die and come back while clients go on. After each, with every node back, everything is read
at ALL, the checker judges what was seen, and the replicas are compared."""
import os
import re
import subprocess
import time

from harness import RouterFailures, Storm, check, wait_until

SUSPECTED = " replica.suspect "
OPERATION_MS = 2000  # the default deadline of a call


def goes_on(storm, statement, since, until):
    writes, reads = storm.done(since, until)
    check(writes > 20 and reads > 20, f"{statement}: the load goes on ({writes} writes, {reads} reads)",
          storm.failures()[-10:])


def no_failure(storm, statement, since=0.0, until=float("inf")):
    failures = storm.failures(since, until)
    check(not failures, f"{statement}: no failed request", "\n".join(failures[:20]))


def killed_one_by_one(cluster):
    """kill -9 of a noded, of the leader, of a routerd; each is started again later."""
    storm = Storm(cluster)
    time.sleep(1.5)
    phases = []
    for victim in ("node2", "leader", "router1"):
        name = cluster.leader() if victim == "leader" else victim
        if not check(name, f"{victim} is known"):
            continue
        begin = time.monotonic()
        killed = cluster.dev("kill", name)
        time.sleep(2)
        phases.append((f"kill -9 of {name} ({victim})", begin + 0.5, time.monotonic()))
        if victim == "leader":
            check(wait_until(lambda: cluster.leader() not in (None, name), 15), "another controller leads")
        started = cluster.dev("start", name)
        check(killed.code == 0 and started.code == 0, f"{name} is killed and starts again", f"{killed}\n{started}")
    time.sleep(0.5)
    check(storm.stop(), "the client ends in order", storm.output)
    for statement, since, until in phases:
        goes_on(storm, statement, since, until)
    no_failure(storm, "kill -9 of one daemon at a time")
    check(cluster.all_ready(), "all are ready again")
    storm.judge("after kills one by one")


def killed_all(cluster, lifecycle):
    """kill -9 of all eight at once, twice; every acknowledged message is there."""
    storm = Storm(cluster, rate=600, deadline_ms=4000)
    time.sleep(2)
    lifecycle.half_a_cluster(cluster, cluster.names())
    back = time.monotonic()
    check(wait_until(lambda: cluster.metric("router1", "trillium_router_calls_total") +
                     cluster.metric("router2", "trillium_router_calls_total") > 100, 20),
                     "after kill -9 of all eight the load goes on")
    time.sleep(1.5)
    check(storm.stop(), "the client ends in order", storm.output)
    goes_on(storm, "after kill -9 of all eight", back, time.monotonic())
    storm.judge("after kill -9 of all eight")


def one_down(cluster):
    """One noded is down for the whole test: nothing fails once the routers suspect it."""
    seen = {name: cluster.log(name).count(SUSPECTED) for name in cluster.names("router")}
    killed = cluster.dev("kill", "node3")
    check(killed.code == 0, "node3 is killed", killed)
    storm = Storm(cluster)
    both = wait_until(lambda: all(cluster.log(name).count(SUSPECTED) > seen[name] for name in seen), 15)
    check(both, "both routers suspect it and say so",
          [re.findall(r".*replica\..*", cluster.log(name))[-5:] for name in seen])
    suspected = time.monotonic()
    failures_of_routers = RouterFailures(cluster)
    time.sleep(3)
    end = time.monotonic()
    check(storm.stop(), "the client ends in order", storm.output)
    goes_on(storm, "with a node down", suspected, end)
    no_failure(storm, "with a node down, once it is suspected", suspected, end)
    failures_of_routers.check_none("with a node down, once it is suspected")
    started = cluster.dev("start", "node3")
    check(started.code == 0, "node3 starts again", started)
    storm.judge("after a node was down")


def terminated_in_turn(cluster):
    """SIGTERM to each daemon: goodbye, drain, sync, exit; no request fails, neither at the client, whose deadline is
    that of one operation, nor at a router: nothing is left for the client's repeats to hide."""
    storm = Storm(cluster, rate=600, deadline_ms=OPERATION_MS)
    time.sleep(1.5)
    late, codes, begun = [], [], {}
    failures_of_routers = RouterFailures(cluster)
    for name in cluster.names():
        failures_of_routers.look()
        begun[name] = time.monotonic()
        stopped = cluster.dev("stop", name)
        if time.monotonic() - begun[name] > 10:
            late.append(name)
        started = cluster.dev("start", name)
        if stopped.code != 0 or started.code != 0:
            codes.append(f"{name}: {stopped} {started}")
    check(storm.stop(), "the client ends in order", storm.output)
    check(not late and not codes, "each daemon ends within 10 s of SIGTERM and starts again",
          f"{late}\n{''.join(codes)}")
    failures = storm.failures()
    blame = [f"{line} (after SIGTERM to "
             f"{max((t, n) for n, t in begun.items() if t <= int(line.split()[1]) / 1e6)[1]})"
             for line in failures[:20]]
    check(not failures, "SIGTERM to each daemon in turn: no failed request", "\n".join(blame))
    failures_of_routers.check_none("SIGTERM to each daemon in turn")
    goes_on(storm, "SIGTERM to each daemon in turn", min(begun.values()), time.monotonic())
    storm.judge("after SIGTERM to each in turn")


def controllers_down(cluster):
    """With all controllers down reads and writes go on; a router and a node even start."""
    storm = Storm(cluster)
    time.sleep(1.5)
    killed = [cluster.dev("kill", name) for name in cluster.names("controller")]
    check(all(result.code == 0 for result in killed), "all controllers are killed", killed)
    begin = time.monotonic()
    time.sleep(2)
    end = time.monotonic()
    status = cluster.msgctl("status", seconds=30)
    check(status.code == 0 and "controller" in (status.text.splitlines() or [""])[0], "msgctl status says that first",
          status)
    check(storm.stop(), "the client ends in order", storm.output)
    goes_on(storm, "all controllers down", begin, end)
    no_failure(storm, "all controllers down")
    up = cluster.up()
    check(up.code == 0, "the controllers start again", up)
    check(wait_until(cluster.leader, 15), "one of them leads")
    storm.judge("after all controllers were down")


def import_survives(cluster, corpus):
    """The import goes on by itself while a node, the leader and a router die and come back."""
    rate = max(1500, len(corpus.lines) // 8)
    process = subprocess.Popen([os.path.join(cluster.binaries, "msgctl"), "import", corpus.path, "--rate", str(rate),
                                "--again"],
                               env=cluster.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    for victim in ("node1", "leader", "router2"):
        name = cluster.leader() if victim == "leader" else victim
        time.sleep(0.8)
        cluster.dev("kill", name)
        time.sleep(0.8)
        cluster.dev("start", name)
    try:
        said = process.communicate(timeout=300)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        said = "it did not end: " + process.communicate()[0].decode(errors="replace")
    check(process.returncode == 0,
          "an import goes on by itself while a node, the leader and a router die and come back", said)


def import_and_power_cut(cluster, corpus):
    """kill -9 of all eight in mid-import: the same import goes on when they are back."""
    rate = max(1500, len(corpus.lines) // 6)
    process = subprocess.Popen([os.path.join(cluster.binaries, "msgctl"), "import", corpus.path, "--rate", str(rate),
                                "--again"],
                               env=cluster.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    time.sleep(1.5)
    cluster.kill_at_once(cluster.names())
    up = cluster.up()
    try:
        said = process.communicate(timeout=300)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        said = "it did not end: " + process.communicate()[0].decode(errors="replace")
    check(up.code == 0 and process.returncode == 0, "an import outlives kill -9 of all eight", f"{up}\n{said}")

"""Daemons die and come back while clients go on. After each, with every node back, everything is read
at ALL, the checker judges what was seen, and the replicas are compared."""
import os
import re
import shutil
import subprocess
import time

from harness import Rise, RouterFailures, Storm, calls_answered, check, wait_until

SUSPECTED = " replica.suspect "
OPERATION_MS = 2000  # the default deadline of a call


def goes_on(storm, statement, since, until):
    writes, reads = storm.done(since, until)
    check(writes > 20 and reads > 20, f"{statement}: the load goes on ({writes} writes, {reads} reads)",
          storm.failures()[-10:])


def suspicions(cluster):
    return {name: cluster.log(name).count(SUSPECTED) for name in cluster.names("router")}


def suspected(cluster, seen):
    """Every router has suspected a replica since suspicions() gave seen."""
    return wait_until(lambda: all(count > seen[name] for name, count in suspicions(cluster).items()), 15)


def no_failure(storm, statement, since=0.0, until=float("inf")):
    failures = storm.failures(since, until)
    check(not failures, f"{statement}: no failed request", "\n".join(failures[:20]))


def killed_one_by_one(cluster):
    """kill -9 of a noded, of the leader, of a routerd; each is started again later."""
    storm = Storm(cluster)
    storm.goes_on(400)
    phases = []
    for victim in ("node2", "leader", "router1"):
        name = cluster.leader() if victim == "leader" else victim
        if not check(name, f"{victim} is known"):
            continue
        seen = suspicions(cluster)
        killed = cluster.dev("kill", name)
        begin = time.monotonic()
        if victim == "leader":
            check(wait_until(lambda: cluster.leader() not in (None, name), 15), "another controller leads")
        if victim.startswith("node"):
            check(suspected(cluster, seen), "both routers suspect the node")
        storm.goes_on(800)
        phases.append((f"kill -9 of {name} ({victim})", begin, time.monotonic()))
        started = cluster.dev("start", name)
        check(killed.code == 0 and started.code == 0, f"{name} is killed and starts again", f"{killed}\n{started}")
    storm.goes_on(200)
    check(storm.stop(), "the client ends in order", storm.output)
    for statement, since, until in phases:
        goes_on(storm, statement, since, until)
    no_failure(storm, "kill -9 of one daemon at a time")
    check(cluster.all_ready(), "all are ready again")
    storm.judge("after kills one by one")


def killed_all(cluster, lifecycle):
    """kill -9 of all eight at once; every acknowledged message is there."""
    storm = Storm(cluster, rate=600, deadline_ms=4000)
    storm.goes_on(800)
    lifecycle.half_a_cluster(cluster, cluster.names())
    back = time.monotonic()
    storm.goes_on(600)
    check(storm.stop(), "the client ends in order", storm.output)
    goes_on(storm, "after kill -9 of all eight", back, time.monotonic())
    storm.judge("after kill -9 of all eight")


def one_down(cluster):
    """One noded is down for the whole test: nothing fails once the routers suspect it."""
    seen = suspicions(cluster)
    killed = cluster.dev("kill", "node3")
    check(killed.code == 0, "node3 is killed", killed)
    storm = Storm(cluster)
    check(suspected(cluster, seen), "both routers suspect it and say so",
          [re.findall(r".*replica\..*", cluster.log(name))[-5:] for name in seen])
    since = time.monotonic()
    failures_of_routers = RouterFailures(cluster)
    storm.goes_on(1500)
    end = time.monotonic()
    check(storm.stop(), "the client ends in order", storm.output)
    goes_on(storm, "with a node down", since, end)
    no_failure(storm, "with a node down, once it is suspected", since, end)
    failures_of_routers.check_none("with a node down, once it is suspected")
    started = cluster.dev("start", "node3")
    check(started.code == 0, "node3 starts again", started)
    storm.judge("after a node was down")


def terminated_in_turn(cluster):
    """SIGTERM to each daemon: goodbye, drain, sync, exit; no request fails, neither at the client, whose deadline is
    that of one operation, nor at a router: nothing is left for the client's repeats to hide."""
    storm = Storm(cluster, rate=600, deadline_ms=OPERATION_MS)
    storm.goes_on(600)
    late, codes, begun = [], [], {}
    failures_of_routers = RouterFailures(cluster)
    for name in cluster.names():
        failures_of_routers.counted.look()
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


def middle_of_log(directory):
    """Flips a bit in the middle of what each of a stopped node's logs holds; returns how many it damaged."""
    damaged = 0
    for name in sorted(os.listdir(os.path.join(directory, "log"))):
        path = os.path.join(directory, "log", name)
        with open(path, "r+b") as file:
            blocks = file.read()
            used = [at for at in range(4096, len(blocks), 4096) if any(blocks[at:at + 64])]
            if len(used) < 8:
                continue
            at = used[len(used) // 2] + 80
            file.seek(at)
            file.write(bytes([blocks[at] ^ 1]))
            damaged += 1
    return damaged


def is_rebuilt(cluster, node):
    """No replica of the cluster counts as lapsed any more, and this node has rebuilt some."""
    return cluster.metric(node, "trillium_node_rebuilt_total") > 0 and all(
        cluster.metric(name, "trillium_node_lapsed_ranges") == 0 for name in cluster.names("node"))


def lost_disks(cluster):
    """One node comes back with a damaged log, another one with an empty data directory: what they held is rebuilt from
    the others while clients go on, and then every replica is whole."""
    storm = Storm(cluster, rate=400)
    storm.goes_on(600)
    for node, what in (("node1", "a damaged log"), ("node2", "an empty data directory")):
        killed = cluster.dev("kill", node)
        if what.startswith("an empty"):
            shutil.rmtree(cluster.data(node))
            os.mkdir(cluster.data(node))
        else:
            check(middle_of_log(cluster.data(node)) > 0, f"the log of {node} is damaged in its middle")
        started = cluster.dev("start", node)
        check(killed.code == 0 and started.code == 0, f"{node} starts with {what}", f"{killed}\n{started}")
        storm.goes_on(200)
        check(wait_until(lambda name=node: is_rebuilt(cluster, name), 30), f"{node} with {what} is rebuilt by itself",
              re.findall(r".*(?:lapsed|rebuil|outdated|refused).*", cluster.log(node))[-20:])
    check(storm.stop(), "the client ends in order", storm.output)
    storm.judge("after disks were lost")


def controllers_down(cluster):
    """With all controllers down reads and writes go on; a router and a node even start."""
    storm = Storm(cluster)
    storm.goes_on(400)
    killed = [cluster.dev("kill", name) for name in cluster.names("controller")]
    check(all(result.code == 0 for result in killed), "all controllers are killed", killed)
    begin = time.monotonic()
    status = cluster.msgctl("status", seconds=30)
    check(status.code == 0 and "controller" in (status.text.splitlines() or [""])[0], "msgctl status says that first",
          status)
    storm.goes_on(800)
    for name in ("node2", "router2"):
        stopped, started = cluster.dev("stop", name), cluster.dev("start", name)
        check(stopped.code == 0 and started.code == 0, f"{name} stops and starts without any controller",
              f"{stopped}\n{started}")
    storm.goes_on(200)
    end = time.monotonic()
    check(storm.stop(), "the client ends in order", storm.output)
    goes_on(storm, "all controllers down", begin, end)
    no_failure(storm, "all controllers down")
    up = cluster.up()
    check(up.code == 0, "the controllers start again", up)
    check(wait_until(cluster.leader, 15), "one of them leads")
    storm.judge("after all controllers were down")


def import_survives(cluster, corpus):
    """The import goes on by itself while a node, the leader and a router die and come back. It reads from a pipe that
    is filled as the deaths go on, so that each strikes in its midst, however slow this machine is."""
    with open(corpus.path, "rb") as file:
        lines = file.readlines()
    part = len(lines) // 7
    process = subprocess.Popen([os.path.join(cluster.binaries, "msgctl"), "import", "-", "--rate", str(2 * part)],
                               env=cluster.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def bring():
        """Gives it the next part, and returns when a fourth of that is stored."""
        answered = Rise(cluster, "trillium_router_calls_total")
        process.stdin.write(b"".join(lines[:part]))
        process.stdin.flush()
        del lines[:part]
        return wait_until(lambda: answered.look() >= part // 4, 60)

    wrong = []
    for victim in ("node1", "leader", "router2"):
        name = cluster.leader() if victim == "leader" else victim
        for command in ("kill", "start"):
            if not bring():
                wrong.append(f"nothing is stored before {command} of {name}")
            done = cluster.dev(command, name)
            if done.code != 0:
                wrong.append(f"{command} {name}: {done}")
    try:
        said = process.communicate(b"".join(lines), timeout=300)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        said = "it did not end: " + process.communicate()[0].decode(errors="replace")
    check(process.returncode == 0 and not wrong,
          "an import goes on by itself while a node, the leader and a router die and come back", [*wrong, said])


def import_and_power_cut(cluster, corpus):
    """kill -9 of all eight in mid-import: the same import goes on when they are back."""
    rate = max(1500, len(corpus.lines) // 6)
    process = subprocess.Popen([os.path.join(cluster.binaries, "msgctl"), "import", corpus.path, "--rate", str(rate)],
                               env=cluster.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    calls_answered(cluster, rate)
    cluster.kill_at_once(cluster.names())
    up = cluster.up()
    try:
        said = process.communicate(timeout=300)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        said = "it did not end: " + process.communicate()[0].decode(errors="replace")
    check(up.code == 0 and process.returncode == 0, "an import outlives kill -9 of all eight", f"{up}\n{said}")

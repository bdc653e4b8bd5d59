"""Peers that are hostile, stopped, or cut off, while clients work. What clients may not see is asserted, also at the
routers, whose failures a client's repeat would hide; how much slower it was for them is printed and not judged here:
that is the benchmarks' business."""
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time

import network
from faults import goes_on, no_failure, suspected, suspicions
from harness import RouterFailures, Storm, check, say, skip, wait_until

MIB = 1 << 20
CLIENT_PIPES_MAX = 384  # of a worker's port for token clients
GREETINGS_MAX = 1024    # LINK_SP_GREETINGS_MAX
TURNED_AWAY = ("trillium_link_refused_total", "trillium_link_ended_total")


# ---- what clients see ----

def percentile_ms(storm, share, since, until):
    """(writes, reads): how long so many of those took that had begun in this time and were done, in ms."""
    took = ([], [])
    with open(storm.path + ".history", encoding="utf-8") as file:
        for line in file:
            call = re.search(r" invoke=(\d+) return=(\d+) outcome=(ok|superseded|deleted)", line)
            if call and since <= int(call.group(1)) / 1e6 < until:
                is_write = line.startswith(("create", "edit", "delete"))
                took[not is_write].append(int(call.group(2)) - int(call.group(1)))
    return [sorted(some)[int(len(some) * share)] / 1000 if some else 0.0 for some in took]


def compare(storm, statement, quiet, fault):
    """Prints how much slower calls were under the fault than before it; both are (since, until)."""
    for share in (0.5, 0.99):
        before, under = percentile_ms(storm, share, *quiet), percentile_ms(storm, share, *fault)
        say(f"      {statement}: p{share * 100:.0f} " + ", ".join(
            f"{what} {a:.1f} -> {b:.1f} ms ({b / a if a else 0:.1f} times)"
            for what, a, b in zip(("writes", "reads"), before, under)))


def lasts(since, seconds):
    """Returns when so much time has passed since then: how long a fault acts is what is tested."""
    wait_until(lambda: False, since + seconds - time.monotonic())


def trusted(cluster, statement, seconds=60):
    """By itself, every router finds every node good again."""
    def answered():
        status = cluster.msgctl("status", seconds=30)
        said.append(status.text)
        return status.code == 0 and "suspects" not in status.text and "does not answer" not in status.text

    said, begin = [], time.monotonic()
    ok = wait_until(answered, seconds, 0.2)
    check(ok, f"{statement}: back in service by itself after {time.monotonic() - begin:.1f} s", said[-1:])


class Fault:
    """A storm, a quiet time, a fault that routers come to suspect, and what must hold meanwhile and afterwards."""

    def __init__(self, bench, name, quiet_ops, seconds):
        self.cluster, self.name, self.quiet_ops, self.seconds = bench.cluster, name, quiet_ops, seconds
        self.storm = Storm(self.cluster)
        self.storm.goes_on(200)

    def play(self, begin, end):
        cluster, storm = self.cluster, self.storm
        quiet = time.monotonic()
        storm.goes_on(self.quiet_ops)
        seen = suspicions(cluster)
        begun = time.monotonic()
        begin()
        try:
            check(suspected(cluster, seen), f"{self.name}: both routers suspect the node")
            since = time.monotonic()
            failures = RouterFailures(cluster)
            lasts(begun, self.seconds)
            until = time.monotonic()
            failures.check_none(f"{self.name}, from {since - begun:.1f} s on")
        finally:
            end()
        trusted(cluster, self.name)
        back = time.monotonic()
        storm.goes_on(200)
        check(storm.stop(), "the client ends in order", storm.output)
        goes_on(storm, self.name, since, until)
        goes_on(storm, f"after {self.name}", back, time.monotonic())
        no_failure(storm, self.name)
        compare(storm, self.name, (quiet, begun), (since, until))
        storm.judge(f"after {self.name}")


# ---- stopped, cut off ----

def stopped(bench):
    """SIGSTOP: its connections stay, the kernel takes what is sent to it, and it answers nothing."""
    pid = bench.cluster.pid("node2")
    Fault(bench, "a node stopped by SIGSTOP", *((600, 4) if bench.is_quick else (3000, 20))).play(
        lambda: os.kill(pid, signal.SIGSTOP), lambda: os.kill(pid, signal.SIGCONT))


def cut(bench):
    """A node whose packets vanish: both ways, and each way alone."""
    cluster = bench.cluster
    if network.why_not():
        skip("nodes cut off", network.why_not())
        return
    for name, node, these, others, both in (
            ("a node cut off both ways", "node1", ["node1"], None, True),
            ("a node that nobody hears", "node2", ["node2"], None, False),
            ("a node that hears nobody", "node3", None, ["node3"], False)):
        rest = [other for other in cluster.names() if other != node]
        Fault(bench, name, 2000, 20).play(
            lambda these=these or rest, others=others or rest, both=both: network.Cut(cluster, these, others, both),
            network.Cut.heal)


# ---- controllers ----

def applied(cluster, names):
    return {name: int(cluster.metric(name, "trillium_controld_applied")) for name in names}


class Changes:
    """Whether a router's side can change the catalog: an import asks for a session, which is an entry of it."""

    def __init__(self, cluster, router):
        self.cluster, self.router, self.said = cluster, router, None

    def once(self):
        line = {"channel_id": "4242", "message_id": str(int(time.time() * 1000 - 1420070400000) << 22),
                "author_id": "1", "content": "from " + self.router}
        self.said = self.cluster.msgctl("import", "-", "--routers", self.cluster.address(self.router), "--deadline",
                                        "2s", stdin=json.dumps(line).encode() + b"\n", seconds=40)
        return self.said.code == 0 and "no session of import" not in self.said.text

    def at_last(self):
        return wait_until(self.once, 40)


def told_of(cluster, router, controllers):
    """Starts a router anew that knows of these controllers alone; of all when there are none."""
    only = {"TRILLIUM_SET": f"router.controllers={','.join(cluster.address(one) for one in controllers)}"}
    return cluster.dev("stop", router), cluster.dev("start", router, env=only if controllers else None)


def controllers(bench):
    """One controller on one side, two on the other: the leader alone, then a follower alone."""
    cluster = bench.cluster
    if network.why_not():
        skip("controllers partitioned", network.why_not())
        return
    for victim in ("the leader", "a follower"):
        wait_until(cluster.leader, 15)
        leader = cluster.leader()
        alone = leader if victim == "the leader" else [n for n in cluster.names("controller") if n != leader][0]
        partitioned(bench, alone, f"{victim} alone, two others together")
        if bench.is_quick:
            return


def partitioned(bench, alone, statement):
    cluster = bench.cluster
    others = [name for name in cluster.names("controller") if name != alone]
    two = [told_of(cluster, "router1", others), told_of(cluster, "router2", [alone])]
    check(all(a.code == 0 and b.code == 0 for a, b in two) and cluster.all_ready(),
          f"{statement}: a router knows of one side, the other router of the other", two)
    storm = Storm(cluster)
    storm.goes_on(200)
    begin = time.monotonic()
    network.Cut(cluster, [alone], others)
    try:
        check(wait_until(lambda: any("leading" in cluster.http(name, "/readyz")[1] for name in others), 20),
              f"{statement}: the two have a leader")
        before = applied(cluster, cluster.names("controller"))
        majority, minority = Changes(cluster, "router1"), Changes(cluster, "router2")
        could = majority.at_last(), minority.once()
        after = applied(cluster, cluster.names("controller"))
        check(could[0] and all(after[name] > before[name] for name in others),
              f"{statement}: the two change the catalog", f"{before} {after}\n{majority.said}")
        check(not could[1] and after[alone] == before[alone],
              f"{statement}: the one does not, and whoever asks it is told so", f"{before} {after}\n{minority.said}")
        end = time.monotonic()
    finally:
        network.Cut.heal()

    def agree():
        now = applied(cluster, cluster.names("controller"))
        return min(now.values()) >= after[others[0]] and len(set(now.values())) == 1

    check(wait_until(agree, 60), f"{statement}: afterwards all three have applied the same",
          applied(cluster, cluster.names("controller")))
    up = [told_of(cluster, router, ()) for router in ("router1", "router2")]
    check(all(a.code == 0 and b.code == 0 for a, b in up) and minority.at_last(),
          f"{statement}: routers that know of all three can change it", [*up, minority.said])
    check(storm.stop(), "the client ends in order", storm.output)
    goes_on(storm, statement, begin, end)
    no_failure(storm, statement)
    storm.judge(f"after {statement}")


# ---- crowds ----

class Crowd:
    """crowd.py as processes, each of which has as many connections as its limit of open files lets it have."""

    def __init__(self, address, port, count, ways, redials=0, channel=1):
        per_process = min(count, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 128)
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "crowd.py")
        self.count, self.last, self.processes = count, {}, []
        while count > 0:
            some = min(count, per_process)
            count -= some
            process = subprocess.Popen([sys.executable, program, address, str(port), str(some), ways, str(redials),
                                        str(channel)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            Storm.all.append(self)  # whatever has a process is ended at the end
            self.processes.append(process)
            threading.Thread(target=self.listen, args=(process,), daemon=True).start()
        self.process = self.processes[-1]

    def listen(self, process):
        for line in process.stdout:
            self.last[process.pid] = json.loads(line)

    def now(self, what):
        return sum(last[what] for last in self.last.values())

    def end(self):
        for process in self.processes:
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


class Memory:
    """The most resident memory and descriptors of a process while it is watched, beyond those at the start."""

    def __init__(self, pid):
        self.pid, self.is_over = pid, False
        self.before, self.most = self.look(), self.look()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def look(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        return pages * resource.getpagesize(), len(os.listdir(f"/proc/{self.pid}/fd"))

    def watch(self):
        while not self.is_over:
            self.most = tuple(map(max, self.most, self.look()))
            time.sleep(0.05)

    def end(self):
        self.is_over = True
        self.thread.join()
        return [most - before for most, before in zip(self.most, self.before)]


def big_channel(cluster, channel):
    """A channel whose newest page is as large as a page for token clients gets."""
    sent = [cluster.msgctl("message", "send", channel, "x" * 3500) for _ in range(20)]
    check(all(one.code == 0 for one in sent), "a channel of long messages", sent[-1])


def limit_of_files(cluster):
    raised = {}
    for name in cluster.names():
        with open(f"/proc/{cluster.pid(name)}/limits", encoding="ascii") as file:
            raised[name] = re.search(r"Max open files +(\d+) +(\d+)", file.read()).groups()
    check(all(soft == hard and int(soft) > 1024 for soft, hard in raised.values()),
          "each daemon has raised its limit of open files from 1024 to what it may have", raised)


def besieged(bench, ways, count, port, redials, seconds):
    """A crowd before router1, whose clients have been there before."""
    cluster = bench.cluster
    pid = cluster.pid("router1")
    statement = f"{count} connections ({ways})"
    storm = Storm(cluster)
    storm.goes_on(200)
    quiet = time.monotonic()
    storm.goes_on(1000 if bench.is_quick else 2000)
    failures = RouterFailures(cluster)
    memory = Memory(pid)
    counted = sum(cluster.metric("router1", name) for name in TURNED_AWAY)
    begun = time.monotonic()
    crowd = Crowd(cluster.address("router1"), port, count, ways, redials, 77)
    try:
        wait_until(lambda: crowd.now("opened") + crowd.now("refused") >= count, 40)
        all_there = time.monotonic()
        lasts(begun, seconds)
        storm.goes_on(200)
        until = time.monotonic()
        kept = crowd.now("open")
        ended = crowd.now("ended")
        say(f"      {statement}: all dialed after {all_there - begun:.1f} s; {crowd.now('opened')} opened, "
            f"{crowd.now('refused')} refused, {ended} ended by the router, {kept} open")
    finally:
        crowd.end()
    grown, descriptors = memory.end()
    failures.check_none(statement)
    silent = min(count, GREETINGS_MAX)
    check(grown <= 64 * MIB + 8 * 1024 * silent,
          f"{statement}: router1 grows by {grown / MIB:.1f} MiB, at most 64 and 8 KiB a silent one", grown)
    check(descriptors <= CLIENT_PIPES_MAX + GREETINGS_MAX,
          f"{statement}: at most {CLIENT_PIPES_MAX} pipes and {GREETINGS_MAX} that have not greeted "
          f"({descriptors} descriptors)")
    counted = sum(cluster.metric("router1", name) for name in TURNED_AWAY) - counted
    check(counted >= ended / 2, f"{statement}: its metrics count them ({counted:.0f})", ended)
    if ways == "half":
        check(0 < kept <= CLIENT_PIPES_MAX, f"{statement}: it keeps {kept} of them, {CLIENT_PIPES_MAX} at most")
    fresh = cluster.msgctl("message", "list", 77, "--routers", cluster.address("router1"), seconds=30)
    check(fresh.code == 0 and cluster.pid("router1") == pid and cluster.all_ready(),
          f"{statement}: then who comes is served", fresh)
    check(storm.stop(), "the client ends in order", storm.output)
    goes_on(storm, statement, begun, until)
    no_failure(storm, statement)
    compare(storm, f"{statement}, while they come", (quiet, begun), (begun, all_there))
    compare(storm, f"{statement}, while they are there", (quiet, begun), (all_there, until))
    storm.judge(f"after {statement}")


def crowd(bench):
    limit_of_files(bench.cluster)
    big_channel(bench.cluster, 77)
    token_port = 7232
    if bench.is_quick:
        besieged(bench, "silent,half,garbage,crawl,deaf", 1000, token_port, 500, 2)
        return
    for ways in ("silent", "half", "garbage", "crawl", "deaf"):
        besieged(bench, ways, 10000, token_port, 0, 12)
    besieged(bench, "silent,half,garbage,crawl,deaf", 10000, token_port, 1000, 15)

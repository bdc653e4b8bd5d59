"""Disks that fill up: two of three nodes get a file system of 256 MiB each, on loop devices, which is filled from
outside while clients write. docs/operating/disk-full.md is what is asserted."""
import os
import shutil
import subprocess
import time

from faults import goes_on, no_failure
from harness import Storm, check, run, skip, wait_until

MIB = 1 << 20
DISK_MIB = 256
NO_WRITES, NO_REPAIR = 3, 4
LEVEL, REFUSED = "trillium_node_disk_level", "trillium_router_full_total"


class SmallDisk:
    """A node's data directory on a small file system, for as long as the part runs."""

    def __init__(self, bench, name):
        self.bench, self.cluster, self.name = bench, bench.cluster, name
        self.data = bench.cluster.data(name)
        self.image = os.path.join(bench.scratch, name + ".img")
        self.taken = os.path.join(self.data, "taken")

    def why_not(self):
        """Why there are no loop devices here; None when there are."""
        if os.geteuid() != 0:
            return "needs root for loop devices"
        with open(self.image, "wb") as file:
            file.truncate(DISK_MIB * MIB)
        made = run(["mkfs.ext4", "-q", "-m", "0", "-F", self.image], 20) if shutil.which("mkfs.ext4") else None
        if not made or made.code != 0:
            return "mkfs.ext4 is missing or fails"
        probe = self.image + ".probe"
        os.makedirs(probe)
        mounted = run(["mount", "-o", "loop", self.image, probe], 20)
        if mounted.code != 0:
            return f"no file can be mounted here: {mounted.err.strip()}"
        run(["umount", probe], 20)
        return None

    def swap(self, before, after):
        """What lies in the directory stays in it, while what carries it changes."""
        aside = self.image + ".data"
        self.cluster.dev("stop", self.name)
        subprocess.run(["cp", "-a", self.data, aside], check=True)
        os.unlink(os.path.join(aside, "reserve"))
        before()
        subprocess.run(["mount", "-o", "loop", self.image, self.data] if after else ["true"], check=True)
        subprocess.run(["cp", "-a", aside + "/.", self.data], check=True)
        shutil.rmtree(aside)
        return self.start()

    def start(self):
        return self.cluster.dev("start", self.name, env=self.bench.env)

    def begin(self):
        def empty():
            shutil.rmtree(self.data)
            os.mkdir(self.data)
        return self.swap(empty, True)

    def end(self):
        self.free()
        return self.swap(lambda: subprocess.run(["umount", self.data], check=True), False)

    def room(self):
        space = os.statvfs(self.data)
        return space.f_bavail * space.f_frsize

    def holds_reserve(self):
        reserve, held = (self.cluster.metric(self.name, f"trillium_node_disk_reserve_{what}")
                         for what in ("bytes", "held_bytes"))
        return reserve > MIB and held == reserve

    def level(self):
        return int(self.cluster.metric(self.name, LEVEL))

    def fill(self, percent):
        """From outside, so that so many percent of what is beyond the reserve are used."""
        space = os.statvfs(self.data)
        usable = space.f_blocks * space.f_frsize - self.cluster.metric(self.name, "trillium_node_disk_reserve_bytes")
        with open(self.taken, "ab") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, int(self.room() - usable * (100 - percent) / 100)))

    def fill_to_the_last_byte(self):
        size = MIB
        with open(self.taken, "ab", buffering=0) as file:
            while size:
                try:
                    file.write(bytes(size))
                except OSError:
                    size //= 4

    def free(self):
        if os.path.exists(self.taken):
            os.unlink(self.taken)


def one_is_full(disk, storm):
    """Returns (statement, since, until). The others are enough: nothing fails, and everybody says which node it is."""
    cluster = disk.cluster
    disk.fill(97)
    check(wait_until(lambda: disk.level() >= NO_WRITES, 10), "a disk at 97 %: its node refuses creates and edits")
    storm.goes_on(100)
    since = time.monotonic()
    storm.goes_on(900)
    phase = ("one node of three with a full disk", since, time.monotonic())
    status = cluster.msgctl("status")
    check("its disk is" in status.out and "make room there" in status.out, "msgctl status names it and the remedy",
          status)
    listed = cluster.msgctl("node", "list")
    check(listed.out.count("FULL") == 1, "so does msgctl node list", listed)
    code, ready = cluster.http(disk.name, "/readyz")
    check(code == 200 and "its disk is full" in ready, "the node is ready, and says it", ready)
    lines = [line for line in cluster.log(disk.name).splitlines() if " disk.level " in line]
    check(1 <= len(lines) <= 2, "its log has a line for each change", lines)
    return phase


def two_are_full(disks, storm, kept, doomed):
    """Returns (since, until). To their last byte, while clients write: refused before anything is sent, reads and
    deletes go on."""
    cluster = disks[0].cluster
    for disk in disks:
        disk.fill_to_the_last_byte()
    check(wait_until(lambda: all(disk.level() >= NO_WRITES for disk in disks), 10),
          "two disks to their last byte: their nodes refuse", [disk.level() for disk in disks])
    since = time.monotonic()
    storm.goes_on(300)
    phase = (since, time.monotonic())
    refused = cluster.msgctl("message", "send", 4711, "too much", "--deadline", "1s")
    check(refused.code != 0 and "FULL" in refused.text, "a message is refused with FULL", refused)
    check(sum(cluster.metric(name, REFUSED) for name in cluster.names("router")) > 0,
          "routers refuse before they send")
    got = cluster.msgctl("message", "get", 4711, kept)
    check(got.code == 0 and "kept" in got.out, "reads go on", got)
    deleted = cluster.msgctl("message", "delete", 4711, doomed)
    check(deleted.code == 0, "a delete passes", deleted)
    check(wait_until(lambda: cluster.msgctl("flush").code == 0, 30, 1), "what is in memory can be written to files",
          [line for line in cluster.log(disks[0].name).splitlines()
           if " disk." in line][-40:])
    return phase


def killed_when_full(disk):
    """It comes back with what its reserve held."""
    disk.cluster.dev("kill", disk.name)
    started = disk.start()
    check(started.code == 0 and wait_until(lambda: disk.cluster.is_ready(disk.name), 20),
          "a node that is killed on a full disk comes back", started)


def disk_full(bench):
    cluster = bench.cluster
    disks = [SmallDisk(bench, "node1"), SmallDisk(bench, "node2")]
    reasons = [reason for reason in (disk.why_not() for disk in disks) if reason]
    if reasons:
        skip("disks that fill up", reasons[0])
        return
    started = [disk.begin() for disk in disks]
    try:
        if not check(all(result.code == 0 for result in started) and cluster.all_ready(),
                     f"two nodes run on disks of {DISK_MIB} MiB", started):
            return
        check(wait_until(lambda: all(disk.holds_reserve() for disk in disks), 15), "each holds its reserve")
        kept, doomed = (cluster.msgctl("message", "send", 4711, text).out.strip() for text in ("kept", "doomed"))
        storm = Storm(cluster, rate=600, deadline_ms=1500)
        storm.goes_on(600)
        phases = [one_is_full(disks[0], storm)]
        full = two_are_full(disks, storm, kept, doomed)
        killed_when_full(disks[0])
        for disk in disks:
            disk.free()
        check(wait_until(lambda: all(disk.level() == 0 for disk in disks), 15), "space returns, and the levels fall",
              [disk.level() for disk in disks])
        storm.goes_on(100)
        since = time.monotonic()
        storm.goes_on(600)
        phases.append(("after space returned", since, time.monotonic()))
        got = cluster.msgctl("message", "get", 4711, doomed)
        check(got.code != 0, "what was deleted on full disks stays deleted", got)
        check(storm.stop(), "the client ends in order", storm.output)
        check(storm.done(*full)[1] > 20, "two of three disks full to the last byte: clients go on reading",
              storm.done(*full))
        for phase in phases:
            no_failure(storm, *phase)
            goes_on(storm, *phase)
        storm.judge("after full disks")
    finally:
        ended = [disk.end() for disk in disks]
        check(all(result.code == 0 for result in ended), "the nodes run on their usual disks again", ended)

"""A node whose disk is a hundred times slower: a limit of operations a second (cgroups, version 1 or 2) on what this
one process asks of the device under its directory."""
import mmap
import os
import statistics
import time

import peers
from harness import check, say, skip

SLOWER = 100


def device_of(path):
    """MAJOR:MINOR of the whole disk under a directory; None when it is not on one."""
    number = os.stat(path).st_dev
    name = f"{os.major(number)}:{os.minor(number)}"
    found = os.path.realpath(f"/sys/dev/block/{name}")
    if not os.path.exists(found):
        return None
    if os.path.exists(os.path.join(found, "partition")):
        with open(os.path.join(os.path.dirname(found), "dev"), encoding="ascii") as file:
            return file.read().strip()
    return name


def synced_write_ms(directory, count):
    """How long a write of a page takes that is on the disk when it returns: the median."""
    path, took = os.path.join(directory, "probe"), []
    page = mmap.mmap(-1, 4096)
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_DIRECT | os.O_DSYNC, 0o600)
    try:
        os.posix_fallocate(fd, 0, 4096 * count)
        for i in range(count):
            begin = time.monotonic()
            os.pwrite(fd, page, 4096 * i)
            took.append(1000 * (time.monotonic() - begin))
    finally:
        os.close(fd)
        os.unlink(path)
    return statistics.median(took)


class Slow:
    """A control group in which a device does so few operations a second. OSError where there is none."""

    def __init__(self, device):
        one, name = "/sys/fs/cgroup/blkio", f"trillium-faults-{os.getpid()}"
        self.files = {"io.max": "{0} riops={1} wiops={1}"}
        if os.path.exists(os.path.join(one, "blkio.throttle.write_iops_device")):
            self.files = {f"blkio.throttle.{what}_iops_device": "{0} {1}" for what in ("read", "write")}
            self.folder = os.path.join(one, name)
        else:
            with open("/sys/fs/cgroup/cgroup.subtree_control", "w", encoding="ascii") as file:
                file.write("+io")
            self.folder = os.path.join("/sys/fs/cgroup", name)
        self.device = device
        os.mkdir(self.folder)

    def set(self, operations):
        for name, form in self.files.items():
            with open(os.path.join(self.folder, name), "w", encoding="ascii") as file:
                file.write(form.format(self.device, max(1, round(operations))))

    def synced_write_ms(self, directory, count):
        """As above, of this process under the limit."""
        self.put(os.getpid())
        try:
            return synced_write_ms(directory, count)
        finally:
            self.release(os.getpid())

    def put(self, pid):
        self.move(self.folder, pid)

    def release(self, pid):
        self.move(os.path.dirname(self.folder), pid)

    @staticmethod
    def move(folder, pid):
        with open(os.path.join(folder, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write(str(pid))

    def end(self):
        os.rmdir(self.folder)


def slow(bench):
    cluster = bench.cluster
    directory = cluster.data("node2")
    device = device_of(directory)
    if not device:
        skip("a slow disk", f"{directory} is not on a block device")
        return
    try:
        limit = Slow(device)
    except OSError as error:
        skip("a slow disk", f"{error} (needs root and control groups that limit devices)")
        return
    try:
        quick = synced_write_ms(directory, 200)
        # How many operations one such write is, the file system decides.
        limit.set(1000)
        limit.set(1000 * limit.synced_write_ms(directory, 200) / (SLOWER * quick))
        now = limit.synced_write_ms(directory, 8)
        say(f"      a synced page takes {quick:.2f} ms, and {now:.1f} ms under the limit ({now / quick:.0f} times)")
        if check(now > SLOWER / 2 * quick, f"the disk can be made {SLOWER} times slower"):
            pid = cluster.pid("node2")
            peers.Fault(bench, f"a disk {SLOWER} times slower", 3000, 20).play(
                lambda: limit.put(pid), lambda: limit.release(pid))
    finally:
        limit.end()

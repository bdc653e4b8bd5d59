"""Up, status, down and the states in between: what ./dev says and does."""
import json
import os
import re
import shutil
import socket

import corpus as corpora
from harness import Cluster, check, counts, run, skip


def fresh(cluster):
    up = cluster.up()
    if not check(up.code == 0 and "up in" in up.out, "up starts a cluster in a path with a blank", up):
        return False
    check(up.out.count("msgctl") >= 3 and "127." in up.out and "try" in up.out,
          "up prints endpoints and commands to try", up)
    status = cluster.dev("status")
    check(status.code == 0 and len(re.findall(r" ready ", status.out)) == 8,
          "status shows eight daemons that are ready", status)
    before = cluster.pids()
    again = cluster.up()
    check(again.code == 0 and "already up" in again.out, "a second up says that it is already up", again)
    check(cluster.pids() == before, "a second up starts nothing")
    other = cluster.dev("up", "--nodes", "5")
    check(other.code != 0 and "made with 3 nodes" in other.err,
          "up with another number of nodes is refused with a sentence", other)
    return True


def versions(cluster):
    for program in ("controld", "noded", "routerd", "msgctl"):
        said = run([os.path.join(cluster.binaries, program), "--version"], 10)
        check(said.code == 0 and re.search(r"\d+\.\d+\.\d+", said.out), f"{program} --version", said)


def configuration(cluster):
    """Every error of a file at once, with file, line and the nearest key."""
    for name in ("controller1", "node1", "router1"):
        with open(cluster.conf(name), encoding="utf-8") as file:
            lines = file.read().rstrip("\n").split("\n")
        path = os.path.join(cluster.directory + ".state", name + ".bad.yaml")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        wrong = [line.replace("  max:", "  maxx:").replace("  directory:", "  directori:") for line in lines]
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(wrong) + "\n")
        where = [i + 1 for i, line in enumerate(wrong) if line not in lines]
        said = run([cluster.program(name), "--config", path], 10)
        check(said.code not in (0, 124) and all(f"{path}:{line}" in said.text for line in where),
              f"{cluster.program(name).rpartition('/')[2]}: all unknown keys are named with file and line", said)
        check("memory.max" in said.text and "storage.directory" in said.text, "and each with the nearest key", said)


def port_taken(cluster):
    cluster.dev("stop", "node3")
    with socket.socket() as taker:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taker.bind((cluster.address("node3"), 7300))
        taker.listen()
        refused = cluster.dev("start", "node3")
        check(refused.code != 0 and f"process {os.getpid()}" in refused.text and ":7300 is taken by" in refused.text,
              "start says who has taken the port", refused)
        up = cluster.up()
        check(up.code != 0 and f"process {os.getpid()}" in up.text, "up says so too", up)
        # The daemon by itself: a clear error, and an end.
        alone = run([cluster.program("node3"), "--config", cluster.conf("node3"), "--set", "log.file="], 20)
        check(alone.code not in (0, 124) and alone.code < 128 and cluster.address("node3") in alone.text and
              re.search("in use|taken|listen", alone.text), "noded itself says that its address is in use, and ends",
              alone)
    started = cluster.dev("start", "node3")
    check(started.code == 0, "when the port is free again it starts", started)


def half_a_cluster(cluster, victims):
    """Some daemons are killed and ./dev is not told; up mends that."""
    cluster.kill_at_once(victims)
    status = cluster.dev("status")
    check(status.code != 0 and status.out.count(" died") == len(victims), "status says who died", status)
    up = cluster.up()
    check(up.code == 0 and "ended without being stopped" in up.out, "up says who died and starts them again", up)
    check(all(cluster.pids().values()), "all eight run again")


def down(cluster, *arguments):
    result = cluster.dev("down", *arguments)
    check(result.code == 0 and "down" in result.out, f"down {' '.join(arguments)}".rstrip(), result)
    check(not any(cluster.pids().values()) if os.path.exists(os.path.join(cluster.directory, "cluster")) else True,
          "no daemon is left")
    return result


def other_shards(cluster, verify):
    """Down, and up again with another number of shards: the data stays."""
    down(cluster)
    up = cluster.dev("up", "--shards", "1")
    check(up.code == 0 and "1 shard each" in up.out, "up with another number of shards", up)
    verify("after a restart with one shard instead of two")
    down(cluster)
    up = cluster.dev("up", "--shards", "3")
    check(up.code == 0 and "3 shards each" in up.out, "up with three shards", up)
    verify("after a restart with three shards")


def wiped(cluster):
    if counts.failed:
        shutil.copytree(os.path.join(cluster.directory, "logs"), cluster.directory + ".logs", dirs_exist_ok=True)
    down(cluster, "--wipe")
    check(not os.path.exists(os.path.join(cluster.directory, "data")), "down --wipe deletes the data")
    status = cluster.dev("status")
    check(status.code != 0 and "no cluster" in status.out, "status says that there is no cluster", status)


def private_mount(directory, mib, command):
    """The command line that runs a command with a small file system of its own at directory; None when this user may
    not make one."""
    script = 'mount -t tmpfs -o "size=$1m" tmpfs "$2" && shift 2 && exec "$@"'
    for way in (["unshare", "-m"], ["unshare", "-rm"]):
        if run([*way, "sh", "-c", script, "-", "1", directory, "true"], 10).code == 0:
            return [*way, "sh", "-c", script, "-", str(mib), directory, *command]
    return None


def little_space(directory, binaries):
    """Disks that are too small: a sentence that names the directory, what is free, and what to do."""
    os.makedirs(directory)
    up = private_mount(directory, 100, ["./dev", "up", "--dir", directory])
    if not up:
        skip("little disk space", "this user may mount nothing")
        return
    said = run(up, 60, dict(os.environ, TRILLIUM_BIN=binaries))
    check(said.code not in (0, 124) and f"only 100 MiB are free in {directory}" in said.err and
          "make room there, or take another --dir" in said.err, "up on a small disk is refused with a sentence", said)
    script = './dev up --nodes 1 --controllers 1 --routers 1 --dir "$0" && ./dev down --dir "$0"'
    said = run(private_mount(directory, 1000, ["sh", "-c", script, directory]), 60,
               dict(os.environ, TRILLIUM_BIN=binaries))
    check(said.code == 0 and "MiB are free in" in said.out and "enough to try things" in said.out,
          "on one that is not that small it says so and starts", said)
    settings = ["--set", "cluster.uuid=00000000-1111-4222-8333-444444444444", "--set", "listen.address=127.255.9.1",
                "--set", f"storage.directory={directory}/data"]
    own = {"controld": "raft:\n  id: 1\n  members: [1=127.255.9.1]\n",
           "noded": "node:\n  controllers: [127.255.9.2]\n", "routerd": "router:\n  controllers: [127.255.9.2]\n"}
    for program in own:
        path = f"{directory}.{program}.yaml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(own[program])
        # All but a page is taken before the daemon comes.
        script = 'head -c 1044480 /dev/zero > "$0/taken"; exec "$@"'
        said = run(private_mount(directory, 1, ["sh", "-c", script, directory, os.path.join(binaries, program),
                                                "--config", path, *settings]), 20)
        check(said.code == 1 and f"data directory {directory}/data: 0 MiB are free; make room there" in said.err,
              f"{program} on a full disk: a sentence with directory, free space and remedy, no crash", said)


def without_uring(directory, binaries):
    """A kernel or container that forbids io_uring: nodes run on libuv, say so, and serve."""
    launcher = os.path.join(os.path.dirname(os.path.abspath(__file__)), "no_uring")
    filtered = run([launcher, "EPERM", "true"], 10)
    if filtered.code != 0:
        skip("nodes without io_uring", filtered.err.strip())
        return
    cluster = Cluster(directory, binaries, ("--nodes", "1", "--controllers", "1", "--routers", "1"),
                      [launcher, "EPERM"])
    up = cluster.up()
    if not check(up.code == 0 and "io_uring is not allowed here" in up.out, "up without io_uring, and it says so", up):
        return
    check(re.search(r"daemon\.backend io_uring is not available, using libuv: .*not permitted", cluster.log("node1")),
          "so does noded, and why", cluster.log("node1"))
    lines = corpora.generate(2000, 5)
    result = cluster.msgctl("import", "-", stdin="\n".join(lines).encode() + b"\n")
    flushed = cluster.msgctl("flush")
    cluster.kill_at_once(cluster.names())
    up = cluster.up()
    check(result.code == 0 and flushed.code == 0 and up.code == 0, "an import, a flush, kill -9, and up again",
          f"{result}\n{flushed}\n{up}")
    got = cluster.msgctl("export").out.split("\n")
    check(sorted(map(json.loads, filter(None, got)), key=str) == sorted(map(json.loads, lines), key=str),
          "on libuv all messages are there, as they were sent")
    demanded = run([launcher, "ENOSYS", cluster.program("node1"), "--config", cluster.conf("node1"), "--set",
                    "log.file=", "--set", "node.backend=uring"], 20)
    check(demanded.code == 1 and "io_uring is not available" in demanded.text and "another backend" in demanded.text,
          "io_uring that is demanded and not to be had is refused with a sentence", demanded)
    down(cluster, "--wipe")


def demo(directory, binaries):
    """The demonstration, and what it says to try."""
    cluster = Cluster(directory, binaries)
    said = cluster.dev("up", "--demo", seconds=120, env={"DEMO_MESSAGES": "1200"})
    told = [line for line in said.out.splitlines() if line.startswith(("== ", "dev: ")) or "came back" in line]
    check(said.code == 0 and said.err == "" and said.out.count("1200 messages came back, every byte as it was") == 3,
          "up --demo: what it sends comes back, also after a node was killed", said)
    check("dev: killed node2" in told and "dev: started node2" in told and
          "still here, with one node down" in said.out and "all replicas show the same" in said.out,
          "it kills a node, goes on, and the replicas are equal", told)
    last = said.out.rpartition("Look around:\n")[2].strip()
    tried = run(["bash", "-euc", last], 60)
    check(last.count("\n") == 3 and tried.code == 0 and "3 of 3 up" in tried.out, "what it says to try works",
          f"{last}\n{tried}")
    down(cluster, "--wipe")


def smallest(directory, binaries):
    """One of each."""
    cluster = Cluster(directory, binaries, ("--nodes", "1", "--controllers", "1", "--routers", "1"))
    up = cluster.up()
    if not check(up.code == 0, "up with one node, one controller, one router", up):
        return
    sent = cluster.msgctl("message", "send", 42, "alone")
    listed = cluster.msgctl("message", "list", 42)
    check(sent.code == 0 and "alone" in listed.out, "it stores and shows a message", f"{sent}\n{listed}")
    cluster.kill_at_once(cluster.names())
    up = cluster.up()
    listed = cluster.msgctl("message", "list", 42)
    check(up.code == 0 and "alone" in listed.out, "after kill -9 of all of it the message is there", f"{up}\n{listed}")
    down(cluster, "--wipe")


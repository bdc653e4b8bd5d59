"""A network namespace of the test's own, and cuts in it: packets between two daemons that vanish, without a word to
either. Daemons dial from the addresses at which they listen (dial_from.c), so a rule knows both ends of a packet."""
import os
import shutil
import sys
import tempfile

from harness import check, run

INSIDE = "TRILLIUM_FAULTS_NAMESPACE"
TABLE = "trillium_faults"


def own_namespace():
    """Starts this program anew in a namespace of its own, where it may have one and the firewall works in it."""
    if INSIDE in os.environ:
        return
    script = 'ip link set lo up && nft add table ip probe && nft delete table ip probe && exec "$@"'
    for way in (["unshare", "-n"], ["unshare", "-rn"]):
        if shutil.which("nft") and run([*way, "sh", "-c", script, "-", "true"], 10).code == 0:
            os.execvpe(way[0], [*way, "sh", "-c", script, "-", sys.executable, *sys.argv],
                       dict(os.environ, **{INSIDE: "1"}))


def why_not():
    """Why networks cannot be cut here; None when they can."""
    if INSIDE not in os.environ:
        return "needs nft and a network namespace of its own (root, or user namespaces)"
    return None


def dial_from(binaries):
    """The environment in which started daemons dial from where they listen."""
    built = os.path.join(os.path.dirname(binaries), "lib", "libdial_from.so")
    # The dynamic linker takes blanks for separators.
    folder = tempfile.mkdtemp(prefix="trillium-dial-from-")
    atexit_remove(folder)
    return {"LD_PRELOAD": shutil.copy(built, folder)}


def atexit_remove(folder):
    import atexit
    atexit.register(shutil.rmtree, folder, True)


def nft(script):
    done = run(["nft", "-f", "-"], 10, stdin=script.encode())
    if done.code != 0:
        check(False, "nft does as it is told", f"{script}\n{done}")


class Cut:
    """While it lasts, what the first daemons send to the others is lost (with both_ways also the other way round)."""

    def __init__(self, cluster, these, others, both_ways=True):
        pairs = [(cluster.address(a), cluster.address(b)) for a in these for b in others]
        if both_ways:
            pairs += [(b, a) for a, b in pairs]
        rules = "".join(f"add rule ip {TABLE} in ip saddr {a} ip daddr {b} drop\n" for a, b in pairs)
        nft(f"add table ip {TABLE}\nadd chain ip {TABLE} in {{ type filter hook input priority 0; }}\n{rules}")

    @staticmethod
    def heal():
        nft(f"delete table ip {TABLE}\n")

"""Who may include whom. The arrows are the LINKS of room() and program() in CMakeLists.txt."""
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import files

# Headers of other people's libraries: the link target that must stand in the room's own LINKS, and the only folders
# that may include them (None: any room that links it).
EXTERNAL = {
    "uv.h": ("PkgConfig::UV", ["common/runtime/uv", "client", "msgctl"]),
    "liburing.h": ("PkgConfig::URING", ["common/runtime/uring"]),
    "nng/": ("${NNG_LIBRARY}", ["common/rpc/nng"]),
    "rocksdb/": ("${ROCKSDB_LIBRARY}", ["controld/store/rocks"]),
    "yaml.h": ("PkgConfig::YAML", ["common/config"]),
    "microhttpd.h": ("PkgConfig::MICROHTTPD", ["common/obs/http"]),
    "xxhash.h": ("PkgConfig::XXHASH", None),
    "zstd.h": ("PkgConfig::ZSTD", None),
    "zdict.h": ("PkgConfig::ZSTD", None),
    "zlib.h": ("PkgConfig::ZLIB", None),
    "jansson.h": ("PkgConfig::JANSSON", None),
    "protobuf-c/": ("proto", None),
}
# The room that looks at daemons' files offline, and the pure codecs of daemons that it may include; what links it does
# not reach through it.
OFFLINE = {"msgctl_files": {
    "controld/api/snapshots.h", "controld/catalog/command.h", "controld/raft/raft_record.h", "noded/lsm/block.h",
    "noded/lsm/compress.h", "noded/lsm/filter.h", "noded/lsm/manifest.h", "noded/lsm/sstable_format.h",
    "noded/replica/record.h"}}
DAEMONS = ["controld", "noded", "routerd", "msgctl", "client"]


class Map:
    """Rooms by folder, their links, and what follows from them."""

    def __init__(self):
        text = files.read("CMakeLists.txt")
        self.folders, self.links = {}, {}
        for body in re.findall(r"^room\(([^)]*)\)", text, re.M):
            name, *rest = body.split()
            cut = rest.index("LINKS") if "LINKS" in rest else len(rest)
            self.links[name] = rest[cut + 1:]
            for folder in rest[:cut]:
                self.folders[folder] = name
        self.programs = {}
        for body in re.findall(r"^program\(([^)]*)\)", text, re.M):
            _, main, *links = body.split()
            self.programs[main] = links

    def reach(self, links):
        """links and all that they link."""
        seen, queue = set(), list(links)
        while queue:
            name = queue.pop()
            if name not in seen:
                seen.add(name)
                queue += [] if name in OFFLINE else self.links.get(name, [])
        return seen

    def of_file(self, path):
        """(room, its direct links) of a source file; (None, None) when it belongs to none."""
        if path in self.programs:
            return path, self.programs[path]
        room = self.folders.get(os.path.dirname(path))
        return (room, self.links[room]) if room else (None, None)


def external_breach(path, line, header, links):
    for name, (target, folders) in EXTERNAL.items():
        if header != name and not (name.endswith("/") and header.startswith(name)):
            continue
        if folders is not None and os.path.dirname(path) not in folders:
            return f"{path}:{line}: <{header}> belongs into {' and '.join(folders)} only"
        if target not in links:
            return f"{path}:{line}: <{header}> needs {target} in the room's LINKS"
    return None


def includes():
    rooms, breaches = Map(), []
    for path in files.find((".c", ".h"), ["common", "controld", "noded", "routerd", "client", "msgctl"]):
        room, links = rooms.of_file(path)
        if room is None:
            breaches.append(f"{path}:1: no room() of CMakeLists.txt has this folder")
            continue
        reach = rooms.reach(links) | {room}
        for number, row in enumerate(files.read(path).split("\n"), 1):
            match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', row)
            if not match:
                continue
            header = match.group(2)
            breach = external_breach(path, number, header, links)
            if breach:
                breaches.append(breach)
            if match.group(1) == "<":
                continue
            folder = os.path.dirname(header)
            target = "proto" if folder == "proto" else rooms.folders.get(folder)
            if target is None:
                if not any(header == name or header.startswith(name) for name in EXTERNAL):
                    breaches.append(f"{path}:{number}: \"{header}\" is in no room; write paths from the project's root")
            elif room in OFFLINE and header.split("/")[0] not in ("common", "msgctl"):
                if header not in OFFLINE[room]:
                    breaches.append(f"{path}:{number}: {header} is no codec that {room} may include")
            elif target not in reach:
                breaches.append(f"{path}:{number}: {room} may not include {header} (no arrow to {target})")
    for daemon in DAEMONS:
        for name, links in rooms.links.items():
            if not any(f.split("/")[0] == daemon for f, r in rooms.folders.items() if r == name):
                continue
            for other in rooms.reach(links) if name not in OFFLINE else ():
                tops = {f.split("/")[0] for f, r in rooms.folders.items() if r == other}
                bad = tops & set(DAEMONS) - {daemon} - ({"client"} if daemon == "msgctl" else set())
                if bad:
                    breaches.append(f"CMakeLists.txt:1: room {name} links {other} of another daemon")
    return breaches


def headers_alone(build):
    headers = files.find((".h",), ["common", "controld", "noded", "routerd", "client", "msgctl", "bench"])

    def compile_alone(path):
        command = ["cc", "-std=gnu17", "-D_GNU_SOURCE", "-DTRILLIUM_VERSION=\"0\"", "-I.", "-I" + build + "/generated",
                   "-Iclient", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-fsyntax-only", "-x", "c", path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        first = next((row for row in done.stderr.splitlines() if "error" in row), "")
        return f"{path}:1: does not compile alone: {first}" if done.returncode else None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [breach for breach in pool.map(compile_alone, headers) if breach]

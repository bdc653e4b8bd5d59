"""The link-time proof of the doors: what the daemon libraries ask of the world, by symbol.

A daemon's cores reach disk, network, clock, entropy and threads only through vtables, so nothing of these may stand
among their undefined symbols. doors.allow names what may: harmless libc functions and codecs.
"""
import fnmatch
import os
import subprocess

import arrows
import files

# Of the rooms that a daemon's core links, those that are not checked: generated code, and what only main.c calls.
UNCHECKED = ["proto", "config"]
# Known to the linker or to the compiler rather than to a library.
COMPILER = ["_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail", "__tls_get_addr", "_DYNAMIC"]


def nm(arguments, path):
    done = subprocess.run(["nm"] + arguments + [path], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def checked():
    """The rooms that make up the daemons' cores."""
    rooms = arrows.Map()
    cores = [name for name in rooms.links if name.endswith("_core") and name != "msgctl_core"]
    return sorted(name for name in rooms.reach(cores) if name in rooms.links and name not in UNCHECKED)


def library(build, name):
    for path in (os.path.join(build, f"lib{name}.a"), os.path.join(build, name, f"lib{name}.a")):
        if os.path.exists(path):
            return path
    return None


def undefined(build):
    allowed = [(words[0], words[1]) for words in files.allowed("doors")]
    present = {name: path for name in checked() + ["proto"] if (path := library(build, name))}
    own = set()
    for path in present.values():
        own |= {row.split()[-1] for row in nm(["-g", "--defined-only"], path) if len(row.split()) == 3}
    breaches, used = [], set()
    for name, path in present.items():
        if name == "proto":
            continue
        member = ""
        for row in nm(["-u"], path):
            if row.endswith(":"):
                member = row[:-1]
            words = row.split()
            if len(words) != 2 or words[1] in own or words[1] in COMPILER:
                continue
            fits = [rule for rule in allowed if rule[0] in ("*", name) and fnmatch.fnmatchcase(words[1], rule[1])]
            used.update(fits)
            if not fits:
                breaches.append(f"lib{name}.a({member}): {words[1]} is behind no door; go through env, or argue for it "
                                "in tests/tidy/doors.allow")
    return breaches


def statics(build):
    """Objects in .data, .bss or thread-local sections. Constants with addresses in them (.data.rel.ro) are fine."""
    excepted = {(words[0], words[1]) for words in files.allowed("statics")}
    breaches = []
    for name in checked():
        path = library(build, name)
        if path is None:
            continue
        for row in nm(["-f", "sysv"], path):
            columns = [column.strip() for column in row.split("|")]
            if len(columns) != 7 or columns[3] not in ("OBJECT", "TLS"):
                continue
            section = columns[6]
            if section.startswith((".data.rel.ro", ".rodata")) or section == "*UND*":
                continue
            symbol = columns[0].split(".")[0]
            if (name, symbol) not in excepted:
                breaches.append(f"lib{name}.a: {symbol} is a mutable static ({section}); tests run many daemons in one "
                                "process: keep it in a struct")
    return breaches

"""Everything that takes bytes from outside, and which fuzz target reaches it: the table of docs/TESTING.md.

Names are public functions (..._decode, ..._parse, ..._unpack and whatever else the table names) and messages of proto/
that some code unpacks. Here names are compared; tests/fuzz/reach.py shows that targets cover what the table says.
"""
import os
import re

import files
import text

PAGE = "docs/TESTING.md"
TITLE = "## Fuzz targets\n"
ROW = re.compile(r"^\| `(\w+)` \| ([^|]*) \| ((?:`\w+`(?:, )?)+) \|$", re.M)
DESCRIPTOR = re.compile(r"\btrillium__v1__(\w+?)__descriptor\b")
DECODER = re.compile(r"\b(\w+_(?:decode|decode_page|parse|unpack))\(")
ROOMS = ["common", "controld", "noded", "routerd", "client", "msgctl"]


def message(descriptor):
    """message_create_call: MessageCreateCall"""
    return "".join(word.capitalize() for word in descriptor.split("_"))


def table():
    """[(target, names)] in the page's order."""
    section = files.read(PAGE).partition(TITLE)[2].partition("\n## ")[0]
    return [(target, re.findall(r"`(\w+)`", names)) for target, _, names in ROW.findall(section)]


def public_decoders():
    found = set()
    for path in files.find((".h",), ROOMS):
        found |= set(DECODER.findall(files.code(files.read(path))))
    return found


def unpackers():
    """{message: {(file, function) that unpack it}}"""
    found = {}
    for path in files.find((".c",), ROOMS):
        rows = files.code(files.read(path)).split("\n")
        for name, line, length, _ in text.functions(path):
            for descriptor in DESCRIPTOR.findall("\n".join(rows[line - 1:line - 1 + length])):
                found.setdefault(message(descriptor), set()).add((path, name))
    return found


def public_functions():
    found = set()
    for path in files.find((".h",), ROOMS):
        found |= set(re.findall(r"\b(\w+)\(", files.code(files.read(path))))
    return found


def reached():
    rows = table()
    listed = {name for _, names in rows for name in names}
    wanted = public_decoders() | set(unpackers())
    breaches = [f"{PAGE}:1: no fuzz target reaches {name}; give it one, and a place in the table"
                for name in sorted(wanted - listed)]
    known = public_functions() | set(unpackers())
    breaches += [f"{PAGE}:1: {name} is in no header and is unpacked nowhere" for name in sorted(listed - known)]
    sources = {os.path.basename(path)[5:-2] for path in files.find((".c",), ["tests/fuzz"])
               if os.path.basename(path).startswith("fuzz_")}
    targets = {target for target, _ in rows}
    breaches += [f"{PAGE}:1: there is no tests/fuzz/fuzz_{name}.c" for name in sorted(targets - sources)]
    return breaches + [f"tests/fuzz/fuzz_{name}.c:1: the table of {PAGE} does not say what it reaches"
                       for name in sorted(sources - targets)]

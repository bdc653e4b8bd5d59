"""Runs gcc -fanalyzer over every file of ours that a preset compiles, with that file's own flags.

Kinds of warnings that are wrong everywhere are switched off here, with the reason; single ones stand in
analyzer.allow: FILE WARNING, with the reason.
"""
import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import files  # noqa: E402

OFF = [
    # The allocator door never returns NULL, and blocks are handed to other owners that this analysis cannot follow.
    "-Wno-analyzer-malloc-leak",
    "-Wno-analyzer-possible-null-dereference",
    "-Wno-analyzer-possible-null-argument",
]


def analyze(entry):
    words = shlex.split(entry["command"])
    words = [w for w in words if not w.endswith("ccache") and w != "-Werror"]
    out = words.index("-o")
    del words[out:out + 2]
    command = words + ["-fanalyzer", "-fdiagnostics-path-format=none"] + OFF + ["-o", os.devnull]
    done = subprocess.run(command, cwd=entry["directory"], capture_output=True, text=True, check=False)
    return [line for line in done.stderr.splitlines() if "[-Wanalyzer" in line or " error: " in line]


def main():
    build, jobs = sys.argv[1], int(sys.argv[2])
    here = os.getcwd() + os.sep
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    # Tests are left out: Criterion's macros are not ours to analyse.
    entries = [e for e in entries if e["file"].startswith(here) and not e["file"].startswith(here + "build" + os.sep)
               and not e["file"].startswith(here + "tests" + os.sep)]
    found = []
    with ThreadPoolExecutor(jobs) as pool:
        for lines in pool.map(analyze, entries):
            found.extend(lines)
    allowed = {(words[0], words[1]) for words in files.allowed("analyzer")}

    def is_allowed(line):
        warning = re.search(r"\[-W([a-z-]+)\]", line)
        return warning is not None and (line.removeprefix(here).split(":")[0], warning.group(1)) in allowed

    found = sorted({line for line in found if not is_allowed(line)})
    for line in found:
        print(line.removeprefix(here))
    print(f"analyzer: {len(entries)} files, {len(found)} warnings", file=sys.stderr)
    sys.exit(1 if found else 0)


main()

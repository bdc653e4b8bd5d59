"""Shows that the fuzz targets reach what the table of docs/TESTING.md says, with the project's inputs alone.

Usage: reach.py BUILD_DIRECTORY [TARGET] (from the project's root). Prints what is not reached, and ends with
"N passed, N failed" over the names of the table.
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tidy"))
sys.dont_write_bytecode = True
import decoders  # noqa: E402


def covered(build, target):
    """The functions that the target runs on its inputs: {name: their files}."""
    program = os.path.join(build, "bin", "fuzz_" + target)
    done = subprocess.run([program, "-runs=0", "-print_coverage=1", "tests/fuzz/corpus/" + target],
                          capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        print(done.stderr[-3000:])
    found = {}
    for name, path in re.findall(r"^COVERED_FUNC: hits: \d+ edges: \d+/\d+ (\w+) (.+):\d+$", done.stderr, re.M):
        found.setdefault(name, set()).add(os.path.normpath(path))
    return found


def runs(functions, place):
    """Whether (file, function) is among them; a compiler's cache may have seen the file in another folder."""
    return any(path.endswith(os.sep + place[0]) for path in functions.get(place[1], ()))


def main():
    build, only = sys.argv[1], sys.argv[2:]
    unpackers = decoders.unpackers()
    passed, failed, left = 0, 0, {name: set(places) for name, places in unpackers.items()}
    for target, names in decoders.table():
        if only and target not in only:
            continue
        functions = covered(build, target)
        for name in names:
            places = {place for place in unpackers.get(name, ()) if runs(functions, place)}
            left.get(name, set()).difference_update(places)
            if places or name not in unpackers and name in functions:
                passed += 1
            else:
                failed += 1
                print(f"fuzz_{target} does not reach {name} with its inputs in tests/fuzz/corpus/{target}")
    for name, places in sorted(left.items()):
        for path, function in sorted(places) if not only else []:
            failed += 1
            print(f"no target reaches {function} of {path}, which unpacks {name}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()

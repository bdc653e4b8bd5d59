"""The house rules that a program can check. Usage: tidy.py BUILD_DIRECTORY (from the project's root).

Prints one line per breach, "file:line: what; what to do", and ends with "N passed, N failed" over its rules. Exceptions
stand in *.allow files next to this one, each with its reason; they may only shrink.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import arrows  # noqa: E402
import decoders  # noqa: E402
import doors  # noqa: E402
import pages  # noqa: E402
import text  # noqa: E402


def main():
    build = sys.argv[1]
    rules = [
        ("includes follow the arrows of CMakeLists.txt", lambda: arrows.includes()),
        ("every header compiles alone", lambda: arrows.headers_alone(build)),
        ("header guards are named after the file", text.guards),
        ("no tabs, no long lines, no trailing blanks", text.lines),
        ("no left-over marks", text.marks),
        ("functions and files are short", text.sizes),
        ("banned functions are not called", text.banned),
        ("daemon libraries reach the outside only through the doors", lambda: doors.undefined(build)),
        ("daemon libraries have no mutable statics", lambda: doors.statics(build)),
        ("generated pages are up to date", lambda: pages.generated(build)),
        ("links between documents lead somewhere", pages.links),
        ("tests that documents name exist", pages.proofs),
        ("fuzz targets reach all that takes bytes from outside", decoders.reached),
        ("planted bugs and metrics are all listed", pages.lists),
    ]
    failed = 0
    for name, rule in rules:
        breaches = rule()
        failed += bool(breaches)
        for breach in breaches:
            print(breach)
        if breaches:
            print(f"FAIL {name}: {len(breaches)}")
    print(f"{len(rules) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()

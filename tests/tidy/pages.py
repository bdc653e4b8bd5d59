"""Documents: pages that are made from the sources, links, and what documents name of the sources."""
import os
import re
import subprocess

import files


def generated(build):
    page = "docs/operating/configuration.md"
    program = os.path.join(build, "bin", "config_page")
    made = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    if files.read(page) != made:
        return [f"{page}:1: not what the tables say; run {program} > {page}"]
    return []


def links():
    breaches = []
    documents = [p for p in ("README.md", "CHANGELOG.md") if os.path.exists(p)]
    for path in documents + files.find((".md",), ["docs", "proto"]):
        folder = os.path.dirname(path)
        for number, line in enumerate(files.read(path).split("\n"), 1):
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", line):
                if "://" in target or target.startswith("mailto:"):
                    continue
                if not os.path.exists(os.path.normpath(os.path.join(folder, target))):
                    breaches.append(f"{path}:{number}: the link to {target} leads nowhere")
    return breaches


def differ(page, what, listed, there):
    """Breaches for names that stand on one side only."""
    return ([f"{page}:1: {what} {name} does not exist" for name in sorted(listed - there)] +
            [f"{page}:1: {what} {name} is missing" for name in sorted(there - listed)])


def proofs():
    """Unit tests that documents name, as `suite, name`, exist."""
    tests = set()
    for path in files.find((".c",), ["tests/unit"]):
        for suite, name in re.findall(r"^Test\((\w+), (\w+)", files.read(path), flags=re.M):
            tests |= {(suite, name), (suite, "*")}
    breaches = []
    for path in files.find((".md",), ["docs"]):
        for number, line in enumerate(files.read(path).split("\n"), 1):
            for suite, name in re.findall(r"`(\w+), (\w+|\*)`", line):
                if (suite, name) not in tests:
                    breaches.append(f"{path}:{number}: there is no test {suite}, {name}")
    return breaches


def lists():
    """The tables of planted bugs and of metrics name exactly what is in the code."""
    sources = [files.read(p) for p in files.find((".c",), ["common", "controld", "noded", "routerd"])]
    breaches = []
    for page, what, listed, there in (
            ("docs/TESTING.md", "plant", r"^\| (`\w+`(?:, `\w+`)*) \| `[\w/]+` \|", r"\bPLANT\((\w+)\)"),
            ("docs/operating/metrics.md", "series", r"(`trillium_\w+)", r'"(trillium_[a-z]+_\w+)[" ]')):
        rows = re.findall(listed, files.read(page), flags=re.M) if os.path.exists(page) else []
        breaches += differ(page, what, {name for row in rows for name in re.findall(r"`(\w+)", row)},
                           {name for source in sources for name in re.findall(there, source)})
    return breaches

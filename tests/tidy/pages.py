"""Documents that are made from the sources, and links between documents."""
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

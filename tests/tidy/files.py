"""Finding and reading the project's files; reading the lists of exceptions."""
import os
import re

ROOMS = ["proto", "common", "controld", "noded", "routerd", "client", "msgctl", "bench", "tests", "deploy"]
OUT = {"build", "run", "corpus", ".git", "__pycache__"}


def find(suffixes, tops=None):
    """All files below tops (default: the rooms) whose name ends in one of suffixes, sorted."""
    found = []
    for top in tops or ROOMS:
        for folder, folders, names in os.walk(top):
            folders[:] = sorted(f for f in folders if f not in OUT)
            found += [os.path.join(folder, n) for n in sorted(names) if n.endswith(suffixes)]
    return found


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def code(source):
    """C source with comments and the contents of literals blanked, line numbers kept."""
    def blank(match):
        word = match.group(0)
        if word[0] in "\"'":
            return word[0] + word[0]
        return re.sub(r"[^\n]", " ", word)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, source, flags=re.S)


def allowed(name):
    """Lines of tests/tidy/NAME.allow without comments, split into words."""
    path = os.path.join("tests", "tidy", name + ".allow")
    lines = [line.split("#")[0].split() for line in read(path).splitlines()]
    return [words for words in lines if words]

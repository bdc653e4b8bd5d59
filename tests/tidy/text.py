"""Rules about the text of files."""
import os
import re
import unicodedata

import files

LINE_MAX = 120
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 5
FILE_LINES_MAX = 800

# Function: the files that may call it (prefixes), and what to call instead.
BANNED = {
    "malloc calloc realloc free strdup strndup aligned_alloc posix_memalign asprintf vasprintf alloca":
        (["common/base/mem.c"], "mem_alloc and friends"),
    "strcpy strcat strncpy strncat sprintf vsprintf gets stpcpy": ([], "snprintf or memcpy with a known size"),
    "atoi atol atoll atof strtok": ([], "a reader of bytes.h, or strtoll with its end checked"),
    "gettimeofday time clock ftime localtime": ([], "env_wall_us or env_mono_ns"),
    "rand srand random srandom drand48 rand_r": ([], "prng.h, seeded by env_entropy"),
    "system popen tmpnam mktemp": ([], "nothing of the kind"),
    "sleep usleep": ([], "a timer of the reactor"),
}


def c_files():
    return files.find((".c", ".h"))


def texts():
    suffixes = (".c", ".h", ".def", ".py", ".sh", ".proto", ".txt", ".md")
    tops = ["dev", ".ci/run", "CMakeLists.txt", "README.md", "CHANGELOG.md"]
    return files.find(suffixes) + files.find((".md",), ["docs"]) + [path for path in tops if os.path.exists(path)]


def guards():
    breaches = []
    for path in files.find((".h",)):
        name = re.sub(r"[^A-Za-z0-9]", "_", path).upper()
        want = "TRILLIUM_" + name
        text = files.read(path)
        match = re.search(r"^#ifndef (\w+)\n#define (\w+)$", text, re.M)
        if path.startswith("client/") and match and match.group(1) == match.group(2):
            continue  # installed headers choose their own
        if not match or match.group(1) != want or match.group(2) != want:
            breaches.append(f"{path}:1: the header guard is not {want}")
    return breaches


def columns(line):
    """As an editor counts: marks that sit on the character before them take none."""
    return len(line) if line.isascii() else sum(unicodedata.category(c) not in ("Mn", "Me", "Cf") for c in line)


def lines():
    breaches = []
    for path in texts():
        for number, line in enumerate(files.read(path).split("\n"), 1):
            if "\t" in line:
                breaches.append(f"{path}:{number}: a tab; indent with blanks")
            if line != line.rstrip():
                breaches.append(f"{path}:{number}: blanks at the end of the line")
            if columns(line) > LINE_MAX and path.endswith((".c", ".h", ".py")) and "http" not in line:
                breaches.append(f"{path}:{number}: {columns(line)} columns; at most {LINE_MAX}")
    return breaches


def marks():
    breaches = []
    pattern = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b")
    for path in texts():
        for number, line in enumerate(files.read(path).split("\n"), 1):
            if pattern.search(line):
                breaches.append(f"{path}:{number}: a left-over mark; do it, or write it into the docs")
    return breaches


def parameters(head):
    """How many parameters the function head (up to its brace) declares."""
    match = re.search(r"\b(\w+)\(", head)
    if not match:
        return 0
    depth, count, inside = 0, 1, ""
    for char in head[match.end() - 1:]:
        depth += char == "("
        depth -= char == ")"
        if depth == 0:
            break
        if char == "," and depth == 1:
            count += 1
        inside += char
    return 0 if inside.strip("( \n") in ("", "void") else count


def functions(path):
    """(name, line, length, parameters) of each function definition; relies on the format that clang-format gives."""
    rows = files.code(files.read(path)).split("\n")
    start = None
    for number, row in enumerate(rows):
        if row == "{" and start is None:
            head = number - 1
            while head > 0 and rows[head - 1] and not rows[head - 1].endswith((";", "}", " ")) and \
                    not rows[head - 1].startswith("#"):
                head -= 1
            start = head
        elif row.startswith("}") and start is not None:
            text = "\n".join(rows[start:number])
            match = re.search(r"\b(\w+)\(", text)
            if match and "= {" not in rows[start]:
                yield match.group(1), start + 1, number - start + 1, parameters(text[:text.index("\n{")])
            start = None


def sizes():
    ratchet = {(w[0], w[1]): int(w[2]) for w in files.allowed("sizes")}
    breaches, used = [], set()

    def check(path, what, value, limit, line):
        bound = ratchet.get((path, what), limit)
        used.add((path, what)) if value > limit else None
        if value > bound:
            breaches.append(f"{path}:{line}: {what} is {value}; at most {bound}: look for the second noun in it")
        elif (path, what) in ratchet and limit < value < bound:
            breaches.append(f"{path}:{line}: {what} shrank to {value}: write that into tests/tidy/sizes.allow")

    for path in c_files():
        text = files.read(path)
        check(path, "file", text.count("\n"), FILE_LINES_MAX, 1)
        if not path.endswith(".c"):
            continue
        for name, line, length, count in functions(path):
            check(path, name, length, FUNCTION_LINES_MAX, line)
            check(path, name + "()", count, PARAMETERS_MAX, line)
    for path, what in sorted(set(ratchet) - used):
        breaches.append(f"tests/tidy/sizes.allow:1: {path} {what} needs no exception any more; remove the line")
    return breaches


def banned():
    breaches = []
    rules = [(re.compile(r"(?<![\w.>])(?:" + names.replace(" ", "|") + r")\("), files_, instead)
             for names, (files_, instead) in BANNED.items()]
    extra = [(words[0], words[1]) for words in files.allowed("banned")]
    for path in c_files():
        if path.startswith("tests/"):
            continue
        for number, line in enumerate(files.code(files.read(path)).split("\n"), 1):
            for pattern, allowed, instead in rules:
                for match in pattern.finditer(line):
                    name = match.group(0)[:-1]
                    if path in allowed or any(path.startswith(prefix) and name == call for prefix, call in extra):
                        continue
                    breaches.append(f"{path}:{number}: {name}() is banned; use {instead}")
    return breaches

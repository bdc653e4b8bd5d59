"""Shows that each rule of tests/tidy can fail: runs it in a small tree with one breach, and in one without.

Usage: selftest.py. Ends with "N passed, N failed".
"""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
import arrows  # noqa: E402
import decoders  # noqa: E402
import doors  # noqa: E402
import pages  # noqa: E402
import text  # noqa: E402

CMAKE = """room(base common/base LINKS PkgConfig::XXHASH)
room(noded_core noded/lsm LINKS base)
room(routerd_core routerd/api LINKS base)
"""
GUARD = "#ifndef TRILLIUM_{0}\n#define TRILLIUM_{0}\n{1}\n#endif\n"
GOOD = {
    "CMakeLists.txt": CMAKE,
    "common/base/mem.h": GUARD.format("COMMON_BASE_MEM_H", "int mem(void);"),
    "noded/lsm/tree.h": GUARD.format(
        "NODED_LSM_TREE_H", "#include \"common/base/mem.h\"\nint tree_decode(int a);"),
    "noded/lsm/tree.c": "#include \"noded/lsm/tree.h\"\n\nint tree(int a, int b)\n{\n    return a + b;\n}\n\n"
                        "int handle_tree(void)\n{\n    return rpc_decode(&trillium__v1__tree_call__descriptor);\n}\n",
    "tests/tidy/sizes.allow": "", "tests/tidy/banned.allow": "", "tests/tidy/doors.allow": "* mem*\n",
    "tests/tidy/statics.allow": "", "tests/fuzz/fuzz_tree.c": "int x;\n",
    "docs/TESTING.md": "## Fuzz targets\n| `tree` | a tree | `tree_decode`, `TreeCall` |\n",
    "docs/a.md": "[b](b.md)\n", "docs/b.md": "\n",
}
MARK = "TO" + "DO"
# Rule, then the files that break it.
BREACHES = [
    ("another daemon's header", arrows.includes, {"noded/lsm/tree.c": "#include \"routerd/api/x.h\"\n"}),
    ("a library in the wrong folder", arrows.includes, {"noded/lsm/tree.c": "#include <nng/nng.h>\n"}),
    ("a library without a link", arrows.includes, {"noded/lsm/tree.c": "#include <zstd.h>\n"}),
    ("a folder without a room", arrows.includes, {"noded/odd/x.c": "int x;\n"}),
    ("a link to another daemon", arrows.includes, {"CMakeLists.txt": CMAKE.replace(
        "routerd/api LINKS base", "routerd/api LINKS noded_core")}),
    ("a header that needs another", lambda: arrows.headers_alone("build"), {
        "noded/lsm/tree.h": GUARD.format("NODED_LSM_TREE_H", "size_t x(void);")}),
    ("a wrong guard", text.guards, {"noded/lsm/tree.h": GUARD.format("TREE_H", "")}),
    ("a tab", text.lines, {"noded/lsm/tree.c": "\tint x;\n"}),
    ("a long line", text.lines, {"noded/lsm/tree.c": "// " + "x" * 120 + "\n"}),
    ("a blank at a line's end", text.lines, {"docs/a.md": "x \n"}),
    ("a left-over mark", text.marks, {"noded/lsm/tree.c": f"// {MARK}: later\n"}),
    ("a long function", text.sizes, {"noded/lsm/tree.c": "int f(void)\n{\n" + "    x;\n" * 70 + "}\n"}),
    ("many parameters", text.sizes, {"noded/lsm/tree.c": "int f(int a, int b, int (*c)(int, int), int d,\n"
                                                          "    int e, int f)\n{\n    x;\n}\n"}),
    ("a long file", text.sizes, {"noded/lsm/tree.c": "int x;\n" * 801}),
    ("an exception that is not needed", text.sizes, {"tests/tidy/sizes.allow": "noded/lsm/tree.c tree 80\n"}),
    ("a banned call", text.banned, {"noded/lsm/tree.c": "void *f(void)\n{\n    return malloc(1);\n}\n"}),
    ("a link to nowhere", pages.links, {"docs/a.md": "[c](c.md)\n"}),
    ("a proof that is none", pages.proofs, {"docs/a.md": "`tree, grows`\n"}),
    ("a decoder that no target reaches", decoders.reached, {"noded/lsm/leaf.h": "int leaf_parse(void);\n"}),
    ("a conversation that no target reaches", decoders.reached, {
        "noded/lsm/leaf.c": "int f(void)\n{\n    return g(&trillium__v1__leaf_call__descriptor);\n}\n"}),
    ("a target that no page lists", decoders.reached, {"tests/fuzz/fuzz_leaf.c": "int x;\n"}),
    ("a decoder that is gone", decoders.reached, {
        "docs/TESTING.md": "## Fuzz targets\n| `tree` | x | `tree_decode`, `TreeCall`, `gone_decode` |\n"}),
    ("a plant that no page lists", pages.lists, {"noded/lsm/tree.c": "int x = PLANT(wrong);\n"}),
    ("a series that no code has", pages.lists, {"docs/operating/metrics.md": "`trillium_x_total`\n"}),
]
# Text that looks like a breach and is none.
HARMLESS = [
    ("words in comments and literals", text.banned, {
        "noded/lsm/tree.c": "/* malloc(1) */\nconst char *f = \"free(x)\"; // time(0)\nint y = a->time(1);\n"}),
    ("a short function with five parameters", text.sizes, {
        "noded/lsm/tree.c": "static int f(int a, int b, int (*c)(int, int), int d, int e)\n{\n    x;\n}\n"}),
]


def write(tree):
    for path, content in tree.items():
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)


def run(rule, tree):
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            write(GOOD | tree)
            return rule()
        finally:
            os.chdir(here)


def library(source):
    """Makes libbase.a of one C text in the current folder."""
    write({"x.c": source})
    subprocess.run("cc -fPIC -c x.c -o x.o && ar rcs libbase.a x.o", shell=True, check=True)


def check_library(rule, source):
    def made():
        library(source)
        return rule(".")
    return run(made, {})


def main():
    results = []
    for name, rule, tree in BREACHES:
        results.append((f"{name} is found", bool(run(rule, tree))))
        results.append((f"without {name} all is well", not run(rule, {})))
    for name, rule, tree in HARMLESS:
        results.append((f"{name}: no breach", not run(rule, tree)))
    constant = "static const char *const names[] = {\"a\"};\nconst char *f(int i) { return names[i]; }\n"
    results += [
        ("a system call is found", bool(check_library(
            doors.undefined, "int open(const char *, int);\nint f(void) { return open(\"x\", 0); }\n"))),
        ("an allowed call is none", not check_library(
            doors.undefined, "void *memchr(const void *, int, unsigned long);\n"
            "void *f(void *p, int n) { return memchr(p, 0, n); }\n")),
        ("a mutable static is found", bool(check_library(
            doors.statics, "static int x;\nint f(void) { return x++; }\n"))),
        ("a thread-local is found", bool(check_library(doors.statics, "_Thread_local int x;\n"))),
        ("a constant is no static", not check_library(doors.statics, constant)),
    ]
    for name, good in results:
        if not good:
            print(f"FAIL {name}")
    failed = sum(not good for _, good in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()

"""Messages go in and come out the same, in every order."""
import concurrent.futures
import fcntl
import json
import os
import pty
import random
import re
import select
import signal
import struct
import subprocess
import termios
import time

from harness import calls_answered, check, check_all_equal, write_model


class Corpus:
    """The messages, and the model of what the cluster must show of them."""

    def __init__(self, lines, directory):
        os.makedirs(directory)
        self.lines = [json.loads(line) for line in lines]
        self.path = os.path.join(directory, "corpus.ndjson")
        self.model_path = os.path.join(directory, "corpus.model")
        with open(self.path, "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)
        self.model = {(m["channel_id"], m["message_id"]): m for m in self.lines}
        self.changed = {}

    def channels(self):
        sizes = {}
        for channel, _ in self.model:
            sizes[channel] = sizes.get(channel, 0) + 1
        return sizes

    def verify(self, cluster, when, level="quorum", probes=12):
        write_model(self.model_path, ((c, i, m["author_id"], m["content"]) for (c, i), m in self.model.items()))
        result = cluster.client("verify", "--file", self.model_path, "--probes", probes, "--level", level, seconds=300)
        check(result.code == 0,
              f"{when}: list, before, after and around agree with the model in {len(self.channels())} channels"
              f" ({' '.join(result.out.split())})", result)

    def export_equals(self, cluster, when):
        result = cluster.msgctl("export", seconds=300)
        got = {}
        double = 0
        for line in result.out.split("\n"):
            if line:
                message = json.loads(line)
                key = (message["channel_id"], message["message_id"])
                double += key in got
                got[key] = message
        # Other tests' channels are not this corpus's.
        channels = {c for c, _ in self.model} | {m["channel_id"] for m in self.lines}
        got = {key: message for key, message in got.items() if key[0] in channels}
        wrong = [f"{k}: {got.get(k)} instead of {m}" for k, m in self.model.items()
                 if k not in self.changed and got.get(k) != m][:5]
        wrong += [f"{k}: {got.get(k)}" for k, text in self.changed.items()
                  if k in self.model and (got.get(k, {}).get("content") != text or "edited_at" not in got[k])][:5]
        wrong += [f"{k}: should not be there" for k in got if k not in self.model][:5]
        check(result.code == 0 and not wrong and not double,
              f"{when}: the export is exactly the set of {len(self.model)} messages",
              result.err + "\n".join(wrong) + f"\n{double} twice")


def import_resumed(cluster, corpus):
    """An import that Ctrl-C ends, gone on with by the same command: nothing is sent twice, nothing is left out."""
    rate = max(2000, len(corpus.lines) // 4)
    process = subprocess.Popen([os.path.join(cluster.binaries, "msgctl"), "import", corpus.path, "--rate", str(rate)],
                               env=cluster.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               stdin=subprocess.DEVNULL)
    calls_answered(cluster, len(corpus.lines) // 4)
    process.send_signal(signal.SIGINT)
    try:
        said = process.communicate(timeout=30)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        process.kill()
        said = "it did not end within 30 s: " + process.communicate()[0].decode(errors="replace")
    check(process.returncode not in (0, -9) and "goes on from here" in said,
          "Ctrl-C drains an import and says how to go on", said)
    before = sum(cluster.metric(name, "trillium_router_calls_total") for name in cluster.names("router"))
    result = cluster.msgctl("import", corpus.path, seconds=300)
    after = sum(cluster.metric(name, "trillium_router_calls_total") for name in cluster.names("router"))
    check(result.code == 0 and "going on after" in result.text, "the same command goes on", result)
    check(after - before < len(corpus.lines), f"what was acknowledged is not sent again ({after - before:.0f} calls"
          f" for {len(corpus.lines)} messages in two parts)")
    again = cluster.msgctl("import", corpus.path, seconds=300)
    check(again.code == 0 and "already imported" in again.out and sum(
        cluster.metric(name, "trillium_router_calls_total") for name in cluster.names("router")) - after < 100,
          "a third import of the same file says that it was complete, and sends nothing", again)
    again = cluster.msgctl("import", corpus.path, "--again", seconds=300)
    check(again.code == 0 and "stored" in again.out, "--again sends all of it once more, and changes nothing", again)
    return result


def progress_bar(cluster, corpus):
    """What an import shows on a terminal, which is made narrower on the way."""
    terminal, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    rate = max(2000, len(corpus.lines) // 3)
    process = subprocess.Popen([os.path.join(cluster.binaries, "msgctl"), "import", corpus.path, "--again",
                                "--rate", str(rate)],
                               env=cluster.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=other)
    os.close(other)
    shown, narrowed, begin = b"", 0, time.monotonic()
    while time.monotonic() - begin < 60:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            more = os.read(terminal, 65536)
        except OSError:  # the other side was closed
            break
        shown += more
        if not narrowed and time.monotonic() - begin > 1.5:
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
            narrowed = len(shown)
    code = process.wait(timeout=60)
    os.close(terminal)
    wide = [line.partition("\x1b[K")[0] for line in shown[:narrowed].decode().split("\r") if line.strip()]
    narrow = [line.partition("\x1b[K")[0] for line in shown[narrowed:].decode().split("\r") if line.strip()]
    check(code == 0 and any(re.fullmatch(r"\[#*-+\] +\d+ %  [\d,]+ messages  [\d,]+/s  [\w. ]+ left", line)
                            for line in wide), "an import shows a bar, its rate and the time left on a terminal", wide)
    check(narrow and all(len(line) < 40 for line in narrow[1:]) and all(len(line) < 80 for line in wide),
          "no line is wider than the terminal, also when that becomes narrower", narrow)
    check(shown.endswith(b"\r\x1b[K"), "and the bar is gone at the end", shown[-200:])


def operations(cluster):
    """send, get, edit, delete, status, through msgctl."""
    sent = cluster.msgctl("message", "send", 77, "one message")
    message = sent.out.strip()
    check(sent.code == 0 and message.isdigit(), "message send prints the id", sent)
    got = cluster.msgctl("message", "get", 77, message)
    check(got.code == 0 and "one message" in got.out, "message get shows it", got)
    again = cluster.msgctl("message", "send", 77, "one message", "--id", message)
    listed = cluster.json("message", "list", 77).get("messages", [])
    check(again.code == 0 and len(listed) == 1, "sending it again under its id does not double it", f"{again} {listed}")
    edited = cluster.msgctl("message", "edit", 77, message, "another text")
    got = cluster.msgctl("message", "get", 77, message)
    check(edited.code == 0 and "another text" in got.out, "message edit changes it", f"{edited}\n{got}")
    state = cluster.msgctl("message", "status", 77, message)
    check(state.code == 0 and "present" in state.out, "message status: present", state)
    deleted = cluster.msgctl("message", "delete", 77, message)
    got = cluster.msgctl("message", "get", 77, message)
    check(deleted.code == 0 and got.code != 0, "message delete: it is gone", f"{deleted}\n{got}")
    edited = cluster.msgctl("message", "edit", 77, message, "back again")
    got = cluster.msgctl("message", "get", 77, message)
    check(edited.code != 0 and got.code != 0, "an edit does not bring it back", f"{edited}\n{got}")
    again = cluster.msgctl("message", "send", 77, "one message", "--id", message)
    check(again.code != 0, "nor does sending it again", again)
    never = cluster.msgctl("message", "status", 77, str(int(message) - 64), "--resolve")
    check(never.code == 0 and "never" in never.out, "message status --resolve: never will be", never)


def changes(cluster, corpus):
    """Edits, deletes and a purge in the corpus; the model follows."""
    rng = random.Random(7)
    keys = rng.sample(sorted(corpus.model), 24)
    edits = {key: f"edited {number} ✎" for number, key in enumerate(keys[:12])}

    def change(key):
        command = ("edit", *key, edits[key]) if key in edits else ("delete", *key)
        result = cluster.msgctl("message", *command)
        return "" if result.code == 0 else f"{command}: {result}"

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        wrong = [line for line in pool.map(change, keys) if line]
    for key in keys:
        if key in edits:
            corpus.changed[key] = edits[key]
            corpus.model[key] = dict(corpus.model[key], content=edits[key])
        else:
            del corpus.model[key]
    check(not wrong, "messages of the corpus are edited and deleted", "\n".join(wrong))
    sizes = sorted(corpus.channels().items(), key=lambda item: item[1])
    whole, part = sizes[len(sizes) // 2][0], sizes[-2][0]
    purged = cluster.msgctl("channel", "purge", whole)
    for key in [key for key in corpus.model if key[0] == whole]:
        del corpus.model[key]
    check(purged.code == 0, "channel purge", purged)
    ids = sorted(int(i) for c, i in corpus.model if c == part)
    low, high = ids[len(ids) // 4], ids[len(ids) // 2]
    purged = cluster.msgctl("channel", "purge", part, "--from", low, "--to", high)
    for message in ids:
        if low <= message <= high:
            del corpus.model[part, str(message)]
    check(purged.code == 0, "channel purge --from --to", purged)


def channel_list(cluster, corpus):
    listed = [c["channel_id"] for c in cluster.json("channel", "list", seconds=60).get("channels", [])]
    ours = {m["channel_id"] for m in corpus.lines}
    check({c for c in listed if c in ours} == set(corpus.channels()) and len(listed) == len(set(listed)),
          "channel list shows the channels that hold messages, each once",
          f"{len(listed)} listed, {len(corpus.channels())} wanted")


def sizes_at_their_limits(cluster):
    """64 KiB go in, one byte more is refused; empty is not absent."""
    def line(message, content):
        return json.dumps({"channel_id": "78", "message_id": str(message), "author_id": "1", "content": content},
                          ensure_ascii=False)

    first = 700000000000000000
    largest = [line(first, "x" * 65536), line(first + 64, "𝔘" * 16384), line(first + 128, ""),
               line(first + 192, "nul \x00 and \x1b")]
    result = cluster.msgctl("import", "-", stdin="\n".join(largest).encode() + b"\n")
    listed = cluster.msgctl("export", 78)
    got = {json.loads(text)["message_id"]: json.loads(text)["content"] for text in listed.out.split("\n") if text}
    wanted = {json.loads(text)["message_id"]: json.loads(text)["content"] for text in largest}
    check(result.code == 0 and got == wanted, "contents at their limits come back as they were", result)
    bad = [line(first + 256, "x" * 65537), "{broken", line(first + 320, "fine"),
           '{"channel_id": "78", "message_id": "0", "author_id": "1"}']
    result = cluster.msgctl("import", "-", stdin="\n".join(bad).encode() + b"\n")
    check(result.code == 1 and all(f"line {n}" in result.text for n in (1, 2, 4)) and "3 broken" in result.text + " ",
          "broken lines are named by number and counted, the others are stored", result)
    check(cluster.msgctl("message", "get", 78, first + 320).code == 0, "the whole line among them is stored")
    strict = cluster.msgctl("import", "-", "--strict", stdin=("{broken\n" + line(first + 384, "later") + "\n").encode())
    check(strict.code == 1 and cluster.msgctl("message", "get", 78, first + 384).code != 0,
          "--strict stops at the first broken line", strict)
    big = cluster.msgctl("message", "send", 78, "y" * 65537)
    check(big.code != 0 and big.err.strip() != "", "message send refuses a content above the limit with a sentence",
          big)


def replicas(cluster, corpus, when):
    check_all_equal(cluster, when, {m["channel_id"] for m in corpus.lines})


def commands(cluster):
    """status says what is wrong first; the others tell the rest."""
    status = cluster.msgctl("status")
    check(status.code == 0 and cluster.json("status").get("ok") is True,
          "msgctl status of a whole cluster: nothing is wrong", status)
    for words in (("node", "list"), ("cluster", "info"), ("ring", "owners", 42)):
        said = cluster.msgctl(*words)
        check(said.code == 0 and said.out.strip() and cluster.json(*words),
              f"msgctl {' '.join(map(str, words))}, also as JSON", said)
    unreachable = cluster.msgctl("message", "list", 1, "--routers", "127.255.0.1", "--controllers", "127.255.0.1",
                                 "--deadline", "2s")
    check(unreachable.code == 5, "msgctl exits with 5 when nobody can be reached", unreachable)
    usage = cluster.msgctl("mesage", "list", 1)
    check(usage.code == 2 and "message list" in usage.text, "a command that does not exist: exit 2 and the nearest one",
          usage)


def files(cluster):
    """msgctl file check and dump read what lies in a data directory of a node that does not run."""
    root, found = cluster.data("node1"), []
    for folder, _, names in os.walk(root):
        found += [os.path.join(folder, name) for name in names]
    found = [path for path in sorted(found)
             if os.path.relpath(path, root).split(os.sep)[0] in ("identity", "log", "ranges", "view")
             and not path.endswith(".new")]
    tables = [path for path in found if path.endswith(".sst")][:6]
    manifests = [path for path in found if "/MANIFEST-" in path][:4]
    chosen = tables + manifests + [path for path in found if "/ranges/" not in path]

    def look(path):
        result = cluster.msgctl("file", "check", path)
        return "" if result.code == 0 else f"{path}: {result}"

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        wrong = [line for line in pool.map(look, chosen) if line]
    check(not wrong and len(manifests) > 0, f"msgctl file check: {len(chosen)} files of a stopped node are whole",
          "\n".join(wrong))
    dumped = cluster.msgctl("file", "dump", (tables + manifests)[0])
    check(dumped.code == 0 and dumped.out.strip(), "msgctl file dump shows what is in one", dumped)

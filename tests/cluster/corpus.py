"""A believable corpus in NDJSON, the same for the same seed: channels of very different sizes, several languages,
empty and long contents, replies, edits, unknown fields."""
import base64
import datetime
import json
import random

EPOCH_MS = 1420070400000
WORDS = ("the a build node write read page log range shard is was fails works please thanks again maybe today tomorrow "
         "schön grüße où ça déjà naïve привет спасибо как дела 你好 谢谢 今天 はい ありがとう 안녕하세요 مرحبا שלום नमस्ते γειά "
         "🙂 🎉 👩‍👩‍👧 👍🏽 𝔘𝔫𝔦 𐍈 `code` **bold** https://example.org/a?b=c&d=é").split()


def iso(ms):
    stamp = datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc)
    return stamp.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def content(rng):
    kind = rng.random()
    if kind < 0.01:
        return ""
    if kind < 0.015:
        return "nul \x00 escape \x1b[31m tab \t back\\slash \"quote\" \u2028 \x7f"
    if kind < 0.017:
        return "x" * rng.randint(5000, 30000)
    text = " ".join(rng.choice(WORDS) for _ in range(max(1, int(rng.lognormvariate(2, 0.9)))))
    return text + "\n" + text[::2] if kind < 0.05 else text


def generate(count, seed):
    """Lines; one of them is of the largest content that is allowed."""
    rng = random.Random(seed)
    channels = [(rng.getrandbits(50) << 8) + i for i in range(60)]
    weights = [1 / (i + 1) ** 1.1 for i in range(60)]
    now, recent, lines = EPOCH_MS + 31 * 86400000, {}, []
    step = 365 * 86400000 // count
    for i in range(count):
        now += rng.randint(0, 2 * step)
        channel = rng.choices(channels, weights)[0]
        message = (now - EPOCH_MS) << 22 | rng.randint(0, 65535) << 6 | rng.randint(0, 63)
        line = {"channel_id": str(channel), "message_id": str(message), "author_id": str(rng.randint(1, 400)),
                "timestamp": iso(now), "content": content(rng)}
        if i == count // 2:
            line["content"] = "é" * 32768
        if channel in recent and rng.random() < 0.1:
            line["reference_id"] = recent[channel]
        if rng.random() < 0.05:
            line["edited_at"] = iso(now + rng.randint(1000, 100000))
        if rng.random() < 0.03:
            line["type"] = rng.randint(0, 20)
        if rng.random() < 0.03:
            line["flags"] = rng.getrandbits(40)
        if rng.random() < 0.02:
            line["attachments"] = base64.b64encode(rng.randbytes(rng.randint(0, 90))).decode()
        if rng.random() < 0.05:
            line["mood"] = {"kind": rng.choice(["calm", "loud"]), "level": rng.randint(0, 9)}
        recent[channel] = line["message_id"]
        lines.append(json.dumps(line, ensure_ascii=rng.random() < 0.5))
    return lines

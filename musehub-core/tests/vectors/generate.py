"""Makes the vectors in this folder that are MuseHub's own, with nothing of MuseHub's.

    canonical-json-own.jsonl   JSON in any form, and what Python prints for it as canonical JSON
    floats.txt                 bit patterns of floats, and what Python prints for them
    typed-v1.json              what enters the ids of snapshots and commits under each form of typed-v1, and the ids
    typed-v2.json              canonical objects and their ids under both hash functions
    mpack.json                 packs of the wire, and what they hold

Run it in this folder; it writes the same bytes every time:

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install blake3==1.0.11
    /tmp/venv/bin/python generate.py

The files here were made with CPython 3.11.7 and blake3 1.0.11 from PyPI; everything else is the standard library.

The two other files hold figures computed with the functions of a Muse client of version 0.1.5:
flat-v1-ids.json (ids of snapshots and commits) and canonical-json.jsonl (as canonical-json-own.jsonl).
"""

import hashlib
import json
import math
import random
import struct
from pathlib import Path

from blake3 import blake3

HERE = Path(__file__).parent
RANDOM = random.Random(20260320)


def canonical(value):
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


# --- values -------------------------------------------------------------------------------------------------------

KEYS = ["", "a", "Z", "a-b", "a.b", "a/b", "a b", "é", "中", "\uffff", "ﬁ", "😀", "\U00010000", "\x7f", '"', "\\", "\n"]


def float_of(bits):
    return struct.unpack(">d", bits.to_bytes(8, "big"))[0]


def bits_of(number):
    return int.from_bytes(struct.pack(">d", number), "big")


def boundary_floats():
    yield from [0.0, 0.1, 0.1 + 0.2, 0.3, 1 / 3, 0.5, 1.0, 1.5, 2.0, 100.0, 123456789.125, math.pi, math.e]
    yield from [9999999999999998.0, 1e-4, 1e-5, 9.999999999999999e-05, 5e-324, 1e-323, 2.5e-323]
    yield from [2.2250738585072014e-308, 2.225073858507201e-308, 1.7976931348623157e308, 2.0**53, 2.0**53 + 2]
    # Halfway cases between equally short texts.
    yield from [9007199254740993.0, 2.0**63, 2.0**64, 5e-324 * 3, 2.0**-44, 2.0**-1074 * 2**20, 9.5367431640625e-07]
    yield from [1.448997445238699, 2.98023223876953125e-8, 8.5e16, 1.2345678901234567e22, 4.35, 4.349999999999999]
    for power in range(-324, 309):
        yield float(f"1e{power}")
    for power in range(-1074, 1024, 7):
        yield 2.0**power
    for power in (-5, -4, -1, 0, 1, 14, 15, 16, 17, 21, 22):
        yield math.nextafter(float(f"1e{power}"), 0.0)
        yield math.nextafter(float(f"1e{power}"), math.inf)


def random_floats(count):
    while count:
        number = float_of(RANDOM.getrandbits(64))
        if math.isfinite(number):
            yield number
            count -= 1


def everyday_floats(count):
    for _ in range(count):
        yield round(RANDOM.uniform(-1, 1) * 10 ** RANDOM.randint(-6, 18), RANDOM.randint(0, 9))


def escapes():
    for code in [*range(0x00, 0x21), *range(0x7E, 0xA1), 0x22, 0x2F, 0x5C, 0xAD, 0x3C, 0x3E, 0x26, 0x27]:
        yield f"a{chr(code)}b"
    yield "".join(map(chr, range(0x80)))
    for code in [0x2028, 0x2029, 0xD7FF, 0xE000, 0xFB01, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF]:
        yield chr(code)
    for code in [0x10000, 0x103FF, 0x10400, 0x1D11E, 0x1F600, 0x1F3B5, 0xFFFFF, 0x10FFFF]:
        yield f"x{chr(code)}{chr(code)}y"
    # What looks like an escape stays text.
    yield from [r"\u0041", r"\n", "\\\\", '\\"', "\\\n", "</script>", "é\u0301", "👩‍👩‍👧", "plain"]


def random_text():
    pools = ["abc /._-", '"\\\n\t\r\b\f\x00\x1f\x7f', "éüñß", "中文ﬁ\u2028\u2029", "😀🎵\U0010ffff"]
    return "".join(RANDOM.choice(RANDOM.choice(pools)) for _ in range(RANDOM.randint(0, 12)))


def random_integer():
    sign = RANDOM.choice([1, 1, -1])
    return max(-(2**63), sign * RANDOM.getrandbits(RANDOM.choice([1, 4, 16, 32, 53, 54, 63, 64])))


def random_value(depth):
    kind = RANDOM.randint(0, 8 if depth else 5)
    if kind == 0:
        return RANDOM.choice([None, True, False])
    if kind == 1:
        return random_integer()
    if kind == 2:
        return next(everyday_floats(1))
    if kind == 3:
        return next(random_floats(1))
    if kind < 6:
        return random_text()
    if kind == 6:
        return [random_value(depth - 1) for _ in range(RANDOM.randint(0, 5))]
    keys = [RANDOM.choice([RANDOM.choice(KEYS), random_text()]) for _ in range(RANDOM.randint(0, 6))]
    return {key: random_value(depth - 1) for key in keys}


def nested(depth, wrap):
    value = None
    for _ in range(depth):
        value = wrap(value)
    return value


def values():
    yield from [None, True, False, "", [], {}, [[]], [{}], {"": {}}, {"a": []}, [[], {}, ""], [None, [None]]]
    yield nested(100, lambda value: [value])
    yield nested(100, lambda value: {"k": value})
    yield nested(60, lambda value: [{"b": value, "a": []}])
    yield from escapes()
    yield {text: text for text in escapes()}
    yield {key: position for position, key in enumerate(KEYS)}
    yield {key: position for position, key in enumerate(reversed(KEYS))}
    yield {"\U0001f600": 1, "\ufb01": 2}
    yield {"\U00010000": {"\uffff": 1, "\U0010ffff": 2}, "\ue000": 3}
    yield {"a\x00": 1, "a": 2, "a ": 3, "a\u0080": 4, "a\x7f": 5, "A": 6, "aa": 7}
    for power in (7, 8, 15, 16, 31, 32, 53, 63):
        for step in (-1, 0, 1):
            yield [2**power + step, -(2**power) + max(step, 0)]
    yield [2**64 - 1, 2**64 - 2, -(2**63), -(2**63) + 1, 0, -1, 10**18]
    boundaries = list(boundary_floats())
    for start in range(0, len(boundaries), 40):
        yield [sign * number for number in boundaries[start : start + 40] for sign in (1, -1)]
    for _ in range(40):
        yield list(random_floats(25))
    for _ in range(20):
        yield list(everyday_floats(25))
    for _ in range(600):
        yield random_value(4)


# --- JSON in forms other than the canonical one ----------------------------------------------------------------------


def loose_string(text):
    def one(character):
        code = ord(character)
        choice = RANDOM.randint(0, 3)
        if character in '"\\':
            return "\\" + character if choice else f"\\u{code:04X}"
        if code < 0x20:
            return f"\\u{code:04X}" if choice < 2 else json.dumps(character)[1:-1]
        if choice == 0:
            units = character.encode("utf-16-be")
            return "".join(f"\\u{units[at:at + 2].hex().upper()}" for at in range(0, len(units), 2))
        if character == "/" and choice == 1:
            return "\\/"
        return character

    return '"' + "".join(map(one, text)) + '"'


def loose_float(number):
    text = RANDOM.choice([repr(number), f"{number:.16e}", f"{number:.17E}", f"{number:.25e}"])
    if text.lstrip("-").isdigit():
        text += ".0"
    assert bits_of(float(text)) == bits_of(number), text
    return text


def space():
    return RANDOM.choice(["", "", "", " ", "\n", "\t", " \r\n "])


def loose(value):
    """Any JSON text of a value: other spaces, other escapes, other spellings of floats, keys in any order."""
    if isinstance(value, str):
        return loose_string(value)
    if isinstance(value, float):
        return loose_float(value)
    if isinstance(value, list):
        inner = ",".join(space() + loose(item) + space() for item in value)
        return "[" + (inner or space()) + "]"
    if isinstance(value, dict):
        items = list(value.items())
        RANDOM.shuffle(items)
        inner = ",".join(f"{space()}{loose_string(key)}{space()}:{space()}{loose(item)}" for key, item in items)
        return "{" + (inner or space()) + "}"
    return json.dumps(value)


def canonical_json_lines():
    for value in values():
        text = loose(value)
        printed = canonical(json.loads(text))
        assert printed == canonical(value)
        yield json.dumps({"input": text, "canonical": printed})


def float_lines():
    seen = set()
    for number in [*boundary_floats(), *everyday_floats(500), *random_floats(3000)]:
        bits = bits_of(number)
        if bits not in seen:
            seen.add(bits)
            yield f"{bits:016x} {canonical(number)}"


# --- objects of typed-v2 --------------------------------------------------------------------------------------------


def ids(kind, payload):
    stored = kind.encode("ascii") + b" " + str(len(payload)).encode("ascii") + b"\x00" + payload
    return {
        "sha256": "sha256:" + hashlib.sha256(stored).hexdigest(),
        "blake3": "blake3:" + blake3(stored).hexdigest(),
    }


def pattern(size):
    """The bytes of a blob that is given by its size only."""
    return bytes((at * 131 + (at >> 8)) & 0xFF for at in range(size))


def blobs():
    for text in ["", "hello\n", "h\x00i\r\n", "blob 0\x00", "Añadir 🎵\n", "\n"]:
        yield {"kind": "blob", "text": text, **ids("blob", text.encode("utf-8"))}
    for size in [1, 9, 10, 55, 56, 57, 63, 64, 65, 99, 100, 999, 1000, 1023, 1024, 1025, 4096, 65535, 65536, 1048577]:
        yield {"kind": "blob", "pattern": size, **ids("blob", pattern(size))}


def json_object(kind, record):
    payload = canonical(record)
    items = list(record.items())
    RANDOM.shuffle(items)
    return {"kind": kind, "record": dict(items), "payload": payload, **ids(kind, payload.encode("ascii"))}


def blob_name(text, algorithm="sha256"):
    return ids("blob", text.encode("utf-8"))[algorithm]


def snapshots():
    def snapshot(manifest, directories=(), executables=()):
        record = {
            "manifest": manifest,
            "directories": sorted(directories),
            "executables": sorted(executables),
        }
        return json_object("snapshot", record)

    yield snapshot({})
    yield snapshot({}, directories=["empty", "a/b/c"])
    yield snapshot({"b.txt": blob_name("b"), "a/é.txt": blob_name("")})
    yield snapshot({"run.sh": blob_name("#!/bin/sh\n"), "z": blob_name("z")}, executables=["run.sh"])
    yield snapshot({path: blob_name(path) for path in ["😀", "ﬁ", "中", "é", "a/b", "a.b", "a-b", "a", "Z"]})
    yield snapshot(
        {path: blob_name(path, "blake3") for path in ["src/lib.rs", "bin/tool", "docs/ﬁ/😀.md"]},
        directories=["tmp", "ﬁ", "😀"],
        executables=["bin/tool"],
    )
    yield snapshot(
        {f"dir{at % 10}/file{at}.txt": blob_name(str(at), RANDOM.choice(["sha256", "blake3"])) for at in range(300)}
    )


def commits():
    """The fields are samples: the id covers whatever the payload holds, fields of newer clients too."""

    def commit(**fields):
        return json_object("commit", fields)

    snapshot = ids("snapshot", b"{}")["sha256"]
    root = commit(
        snapshot_id=snapshot,
        parents=[],
        message="first",
        author="ada",
        committed_at="2026-03-20T12:00:00+00:00",
    )
    yield root
    yield commit(
        snapshot_id=snapshot,
        parents=[root["sha256"]],
        message="Añadir 🎵\nline2 \"quoted\" \\ \x7f",
        author="ﬁ😀",
        committed_at="2026-03-20T12:00:00.000100+02:00",
        metadata={"section": "chorus", "Track": "1"},
        agent_id="agent",
        test_runs=3,
    )
    yield commit(
        snapshot_id=snapshot,
        parents=[root["sha256"], root["blake3"]],
        message="",
        author="",
        committed_at="2026-03-20T12:00:00Z",
        structured_delta={"domain": "code", "ops": [{"op": "insert", "position": None}], "weight": 1e-07},
        later_field={"ratio": 1e16, "whole": 1.0, "big": 2**64 - 1, "small": -(2**63), "none": None},
    )


# --- ids of typed-v1 --------------------------------------------------------------------------------------------------


def typed_v1(header, texts):
    payload = "\x00".join(texts).encode("utf-8")
    stored = header.encode("ascii") + b" " + str(len(payload)).encode("ascii") + b"\x00" + payload
    return "sha256:" + hashlib.sha256(stored).hexdigest()


def typed_v1_snapshots():
    mixed = {path: blob_name(path) for path in ["😀", "ﬁ", "中", "é", "a/b", "a.b", "a-b", "Z"]}
    for manifest, directories in [
        ({}, []),
        ({"hello.txt": blob_name("hello\n")}, []),
        ({"b.txt": blob_name("b"), "a/é.txt": blob_name("")}, ["a", "empty"]),
        ({}, ["one"]),
        (mixed, ["a", "dirs/ﬁ", "dirs/😀"]),
    ]:
        ids_by_form = []
        for prefix in ["", "sha256:"]:
            entries = [
                text for path in sorted(manifest) for text in (path, prefix + manifest[path].removeprefix("sha256:"))
            ]
            paths = sorted(directories)
            marked = [
                [text for path in paths for text in ("dir", path)],
                [text for path in paths for text in (path, "dir")],
                ["dir", *paths] if paths else [],
            ]
            ids_by_form += [typed_v1("snapshot", entries + directory_texts) for directory_texts in marked]
        yield {"kind": "snapshot", "manifest": manifest, "directories": directories, "ids": ids_by_form}


def typed_v1_commits():
    snapshot = typed_v1("snapshot", [])
    key = "ed25519:" + "A" * 43
    first, second = "sha256:" + "f" * 64, "sha256:" + "0" * 64
    for parents, message, committed_at, author, signer in [
        ([], "first", "2026-05-20T16:00:00+00:00", "ada", ""),
        ([first], "", "2026-05-20T16:00:01.000100+02:00", "", ""),
        ([first, second], "Añadir 🎵\nline2", "2026-05-20T16:00:02Z", "ﬁ😀", key),
    ]:
        bare = [text.removeprefix("sha256:") for text in sorted(parents)]
        texts = ["\x00".join(bare), snapshot.removeprefix("sha256:"), message, committed_at, author, signer]
        yield {
            "kind": "commit",
            "parents": parents,
            "snapshot": snapshot,
            "message": message,
            "committed_at": committed_at,
            "author": author,
            "signer_public_key": signer,
            "ids": [typed_v1(header, texts) for header in ("commit", "blob")],
        }


# --- packs of the wire ------------------------------------------------------------------------------------------------


def msgpack(value):
    """Msgpack in its shortest forms, keys in the order of the dictionary."""
    if value is None:
        return b"\xc0"
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if 0 <= value < 128:
            return bytes([value])
        if -32 <= value < 0:
            return struct.pack("b", value)
        for code, form, low, high in [
            (0xCC, ">B", 0, 2**8),
            (0xCD, ">H", 0, 2**16),
            (0xCE, ">I", 0, 2**32),
            (0xCF, ">Q", 0, 2**64),
            (0xD0, ">b", -(2**7), 0),
            (0xD1, ">h", -(2**15), 0),
            (0xD2, ">i", -(2**31), 0),
            (0xD3, ">q", -(2**63), 0),
        ]:
            if low <= value < high:
                return bytes([code]) + struct.pack(form, value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode("utf-8")
        return sized(len(text), [(32, 0xA0), (2**8, 0xD9), (2**16, 0xDA), (2**32, 0xDB)]) + text
    if isinstance(value, bytes):
        return sized(len(value), [(0, 0), (2**8, 0xC4), (2**16, 0xC5), (2**32, 0xC6)]) + value
    if isinstance(value, list):
        return sized(len(value), [(16, 0x90), (0, 0), (2**16, 0xDC), (2**32, 0xDD)]) + b"".join(map(msgpack, value))
    if isinstance(value, dict):
        head = sized(len(value), [(16, 0x80), (0, 0), (2**16, 0xDE), (2**32, 0xDF)])
        return head + b"".join(msgpack(key) + msgpack(item) for key, item in value.items())
    raise TypeError(value)


def sized(length, forms):
    for (limit, code), form in zip(forms, [None, ">B", ">H", ">I"]):
        if length < limit:
            return bytes([code | length]) if form is None else bytes([code]) + struct.pack(form, length)
    raise ValueError(length)


def local_pack(objects, order="<"):
    body = b"MUSE\x01" + struct.pack(order + "Q", len(objects))
    for name, content in objects:
        body += name.encode("ascii") + struct.pack(order + "Q", len(content)) + content
    return body + hashlib.sha256(body).digest()


def counted(records, order="<"):
    out = struct.pack(order + "Q", len(records))
    for record in records:
        encoded = msgpack(record)
        out += struct.pack(order + "Q", len(encoded)) + encoded
    return out


def container(sections, order="<", relative=False, by_type=True):
    """`sections` are pairs of a type and bytes, in the order in which they lie."""
    header = 6 + 17 * len(sections)
    at = 0 if relative else header
    rows, body = [], b""
    for kind, content in sections:
        rows.append(bytes([kind]) + struct.pack(order + "QQ", at, len(content)))
        at += len(content)
        body += content
    out = b"MUSE\x01" + bytes([len(sections)]) + b"".join(sorted(rows) if by_type else rows) + body
    return out + hashlib.sha256(out).digest()


def zstd_frame(content):
    """A frame of one block that is not compressed: what any decoder of zstd reads."""
    assert len(content) < 256
    return b"\x28\xb5\x2f\xfd" + bytes([0x20, len(content)]) + ((len(content) << 3) | 1).to_bytes(3, "little") + content


def in_order(record):
    """Keys by code point, at every depth, as the hub writes records."""
    if isinstance(record, dict):
        return {key: in_order(record[key]) for key in sorted(record)}
    return [in_order(item) for item in record] if isinstance(record, list) else record


def packs():
    contents = [b"", b"hello\n", "Añadir 🎵\n".encode("utf-8"), bytes(range(256)) * 3]
    objects = [(ids("blob", content)["sha256"], content) for content in contents]
    names = [name for name, _ in objects]
    commits = [
        {
            "commit_id": "sha256:" + "1" * 64,
            "snapshot_id": "sha256:" + "a" * 64,
            "parent_commit_id": None,
            "message": "first",
            "committed_at": "2026-05-20T16:00:00+00:00",
            "author": "gabriel",
            "metadata": {"b": "2", "a": "1"},
            "test_runs": 300,
            "weight": 1.5,
        },
        {
            "commit_id": "sha256:" + "2" * 64,
            "snapshot_id": "sha256:" + "b" * 64,
            "parent_commit_id": "sha256:" + "1" * 64,
            "message": "Añadir 🎵" * 9,
            "committed_at": "2026-05-20T16:01:00+00:00",
            "structured_delta": {"ops": [{"op": "insert", "position": -5}, {"op": "delete", "position": 70000}]},
        },
    ]
    full = {
        "snapshot_id": "sha256:" + "a" * 64,
        "manifest": {"a.txt": names[0], "dir/b.txt": names[1], "dir/é.bin": names[3]},
        "directories": ["empty"],
        "created_at": "2026-05-20T16:00:00+00:00",
        "schema_version": 1,
    }
    delta = {
        "snapshot_id": "sha256:" + "b" * 64,
        "parent_snapshot_id": "sha256:" + "a" * 64,
        "delta_upsert": {"dir/b.txt": names[2], "z": names[1]},
        "delta_remove": ["a.txt"],
    }
    earlier = {("delta_add" if key == "delta_upsert" else key): value for key, value in delta.items()}
    tags = [{"tag_id": "t", "tag": "v1.0", "commit_id": "sha256:" + "2" * 64}]
    holds = {
        "commits": commits,
        "full": [full],
        "deltas": [{**delta, "rebuilt": {"dir/b.txt": names[2], "dir/é.bin": names[3], "z": names[1]}}],
        "tags": tags,
        "objects": {name: content.hex() for name, content in objects},
    }

    def pack(name, data, **changes):
        key = "sha256:" + hashlib.sha256(data).hexdigest()
        return {"name": name, "bytes": data.hex(), "mpack_key": key, **holds, **changes}

    def sections(order="<"):
        return [
            (1, local_pack(objects, order)),
            (2, counted(commits, order)),
            (3, counted([full, delta], order)),
            (4, counted(tags, order)),
        ]

    written = [
        (2, counted([in_order(record) for record in commits])),
        (3, counted([in_order(full), in_order(delta)])),
        (4, counted([in_order(record) for record in tags])),
        (1, local_pack(objects)),
    ]
    yield pack("as the hub writes it", container(written, by_type=False), canonical=True)
    yield pack("little-endian, objects first", container(sections()))
    yield pack("big-endian", container(sections(">"), ">"))
    yield pack("the table big-endian, the rest little-endian", container(sections(), ">"))
    yield pack("offsets from the end of the table", container(sections(), relative=True))
    yield pack("sections in another order", container(sections()[::-1]))
    extra = [*sections(), (9, b"of a later version")]
    yield pack("with a section of an unknown type", container(extra))
    nothing = {"commits": [], "full": [], "deltas": [], "tags": [], "objects": {}}
    yield pack("empty", container([]), **nothing)
    bodies = [{"object_id": name, "content": content} for name, content in objects]
    mapped = {
        "commits": commits,
        "snapshots": [full, earlier],
        "objects": bodies,
        "tags": tags,
        "meta": {"mode": "full", "base_commits": [], "created_at": "2026-05-20T16:00:00+00:00"},
        "summary": {"commits": 2},
    }
    yield pack("the earlier map", msgpack(mapped))
    compressed = [
        {"content": zstd_frame(content[:255]), "encoding": "zstd", "object_id": ids("blob", content[:255])["sha256"]}
        for content in contents
    ]
    short = {ids("blob", content[:255])["sha256"]: content[:255].hex() for content in contents}
    blobs = {"blobs": compressed, "snapshots": [delta, full], "commits": commits, "tags": tags}
    yield pack("the earlier map with compressed blobs", msgpack(blobs), objects=short)
    yield pack("the earlier map, empty", msgpack({"commits": [], "snapshots": None, "objects": []}), **nothing)


# --- files ------------------------------------------------------------------------------------------------------------


def write(name, text):
    (HERE / name).write_bytes(text.encode("utf-8"))


def main():
    write("canonical-json-own.jsonl", "".join(line + "\n" for line in canonical_json_lines()))
    write("floats.txt", "".join(line + "\n" for line in float_lines()))
    objects = [*blobs(), *snapshots(), *commits()]
    listed = [
        ("typed-v2.json", objects),
        ("typed-v1.json", [*typed_v1_snapshots(), *typed_v1_commits()]),
        ("mpack.json", packs()),
    ]
    for name, items in listed:
        write(name, "[\n" + ",\n".join(json.dumps(item) for item in items) + "\n]\n")


if __name__ == "__main__":
    main()

"""Seeded damage of text, of bytes and of trees of plain values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

Path = tuple[Any, ...]


@dataclass(frozen=True)
class Damage:
    """What was done to an input.

    Attributes:
        what: For a reader.
        path: Of the field in a tree; None where a file as a whole was damaged.
        words: What a message may name it by, beside the names of files.
    """

    what: str
    path: Path | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Raw:
    """Text that stands in a JSON or YAML file as it is."""

    text: str


DEEP = 3000  # levels; more than an interpreter nests calls

#: Values that stand in for any other. None is large: what they ask for is refused or costs nothing.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, -1, 3, 10**9, 10**11, 2**63, 10**30, -(2**63)),
    *(0.0, 0.5, 1.5, -0.1, 1e-300, 1e300, -1e300),
    *(Raw("-0"), Raw("-0.0"), Raw("1e400"), Raw("-1e400"), Raw("NaN"), Raw("Infinity"), Raw("-Infinity"), Raw("9" * 5000)),
    *(
        "",
        " ",
        "0",
        "1",
        "1.0",
        "NaN",
        "inf",
        "none",
        "null",
        "true",
        "a" * 3000,
        "../x",
        "/dev/null",
        "=1+1",
        "[red]x[/red]",
        "[/x]",
    ),
    *("{}", "%s", "\u00e4\u4e2d\U0001f600", "\u202eabc", "a\nb", "a\x00b", "\x1b[31m", "\ud800", "__import__('os')"),
    *([], {}, [None], [[]], [0], [1, 2, 3], {"a": 1}, {"": None}, {"name": "x"}, [{}]),
    *(Raw("[" * DEEP + "]" * DEEP), Raw('{"a":' * DEEP + "1" + "}" * DEEP)),
)


def near(rng: Random, value: Any) -> Any:
    """Another value of the same kind, or the same in another type."""
    if isinstance(value, bool):
        return rng.choice([not value, int(value), str(value).lower(), [value]])
    if isinstance(value, int):
        return rng.choice([value + 1, value - 1, value * 2, -value, value + 0.5, float(value), str(value), [value], value + 7])
    if isinstance(value, float):
        return rng.choice([-value, value * 2, value + 1e-12, value + 0.1, str(value), [value], round(value), value * 1e10])
    if isinstance(value, str):
        return rng.choice(
            [value.upper(), value + " ", value[:-1], value + "x", value[::-1], [value], "\ufeff" + value, value * 2]
        )
    if isinstance(value, list):
        return rng.choice(
            [value[:-1], value + value[-1:], value[::-1], [value], value * 2, value[1:], dict(enumerate(map(str, value)))]
        )
    if isinstance(value, dict):
        return rng.choice(
            [list(value), list(value.values()), [value], dict(list(value.items())[1:]), dict(reversed(value.items()))]
        )
    return rng.choice([0, "", [], {}])


def nodes(tree: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of everything in a tree but its root."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from nodes(value, (*path, key))


def at(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def choose(rng: Random, tree: Any, wanted: Callable[[Path], bool] = lambda path: True) -> Path:
    """A path; each place of the schema is as likely as any other, however long its lists are."""
    found: dict[Path, list[Path]] = {}
    for path in nodes(tree):
        if wanted(path):
            found.setdefault(tuple("*" if isinstance(key, int) else key for key in path), []).append(path)
    return rng.choice(found[rng.choice(list(found))])


def damage_tree(rng: Random, tree: Any, wanted: Callable[[Path], bool] = lambda path: True) -> tuple[Any, Damage]:
    """A copy of a tree of plain values with one thing changed; it may hold `Raw`."""
    tree = json.loads(json.dumps(tree))
    path = choose(rng, tree, wanted)
    parent, key, value, new = at(tree, path[:-1]), path[-1], at(tree, path), None
    kind = rng.choices(("value", "near", "missing", "extra", "renamed", "swapped", "twice"), (9, 7, 2, 2, 1, 1, 1))[0]
    if kind == "swapped":
        other = (
            choose(rng, tree, lambda p: wanted(p) and p[: len(path)] != path and path[: len(p)] != p) if len(tree) > 1 else path
        )
        at(tree, other[:-1])[other[-1]], parent[key] = value, at(tree, other)
        what = f"{named(path)} and {named(other)} change places"
    elif kind == "missing":
        del parent[key]
        what = f"{named(path)} is missing"
    elif kind == "extra":
        new = rng.choice(VALUES)
        if isinstance(parent, list):
            parent.insert(key, new)
        else:
            parent[rng.choice(["extra", "", "__class__", "name ", "\u00e4"])] = new
        what = f"something more beside {named(path)}: {shown(new)}"
    elif kind == "renamed" and isinstance(parent, dict):
        new = near(rng, key)
        new = new if isinstance(new, str) else f"{key}s"
        items = [(new if old == key else old, item) for old, item in parent.items()]
        parent.clear()
        parent.update(items)
        what = f"{named(path)} is called {new!r}"
    elif kind == "twice" and isinstance(parent, dict):
        new = rng.choice([value, near(rng, value), rng.choice(VALUES)])
        parent[Twice(key)] = new
        what = f"{named(path)} is there twice, the second time as {shown(new)}"
    else:
        new = near(rng, value) if kind == "near" else rng.choice(VALUES)
        parent[key] = new
        what = f"{named(path)}: {shown(value)} -> {shown(new)}"
    words = tuple(str(key) for key in path if isinstance(key, str))
    return tree, Damage(what, path, (*words, *([new] if isinstance(new, str) else [])))


class Twice(str):
    """A key that is another one's double, and is written as it."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash(("twice", str(self)))

    def __eq__(self, other: object) -> bool:
        return self is other


def json_text(tree: Any, **options: Any) -> str:
    """A tree as JSON, with what is `Raw` as it stands."""
    raw: list[str] = []

    def plain(item: Any) -> Any:
        if isinstance(item, Raw):
            raw.append(item.text)
            return f"\x01{len(raw) - 1}\x01"
        if isinstance(item, dict):
            return {f"{key}" + "\x02" * isinstance(key, Twice): plain(value) for key, value in item.items()}
        return [plain(value) for value in item] if isinstance(item, list) else item

    text = json.dumps(plain(tree), **options).replace("\\u0002", "")
    return re.sub(r'"\\u0001(\d+)\\u0001"', lambda match: raw[int(match[1])], text)


def named(path: Path) -> str:
    return ".".join(map(str, path))


def shown(value: Any) -> str:
    text = value.text if isinstance(value, Raw) else repr(value)
    return text if len(text) < 60 else f"{text[:40]}... ({len(text)} characters)"


def damage_bytes(rng: Random, content: bytes, start: int = 0) -> tuple[bytes, str]:
    """Bytes with something wrong, after the first `start` of them."""
    place = rng.randrange(start, max(start + 1, len(content)))
    kind = rng.choice(["cut", "flipped", "flipped", "zeros", "inserted", "removed", "doubled", "empty", "tail"])
    if kind == "cut":
        return content[:place], f"cut after {place} of {len(content)} bytes"
    if kind == "flipped":
        bit = 1 << rng.randrange(8)
        return content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :], f"bit {bit} of byte {place} flipped"
    if kind == "zeros":
        return content[:place] + bytes(len(content[place : place + 64])) + content[place + 64 :], f"zeros from byte {place}"
    if kind == "inserted":
        new = rng.randbytes(4)
        return content[:place] + new + content[place:], f"{new!r} inserted at byte {place}"
    if kind == "removed":
        return content[:place] + content[place + 3 :], f"3 bytes removed at {place}"
    if kind == "doubled":
        return content * 2, "there twice"
    return (b"", "empty") if kind == "empty" else (content + b"\x00garbage\xff", "something after its end")


#: How text is damaged as a whole, by name; each may leave its meaning as it is.
TEXTS: dict[str, Callable[[str], bytes]] = {
    "empty": lambda text: b"",
    "white space": lambda text: b" \n\t\n",
    "with a byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "with CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "with CR": lambda text: text.replace("\n", "\r").encode(),
    "in UTF-16": lambda text: text.encode("utf-16"),
    "in UTF-32": lambda text: text.encode("utf-32"),
    "with a byte that is no UTF-8": lambda text: text[:5].encode() + b"\xe4" + text[5:].encode(),
    "with a zero byte": lambda text: text[:3].encode() + b"\x00" + text[3:].encode(),
    "there twice": lambda text: (text + text).encode(),
    "null": lambda text: b"null",
    "a list": lambda text: b"[]",
    "a number": lambda text: b"12",
    "a word": lambda text: b"hello",
    "an empty object": lambda text: b"{}",
    "a list of it": lambda text: f"[{text}]".encode(),
    "in brackets": lambda text: f"({text})".encode(),
    "with a comment": lambda text: f"// comment\n{text}".encode(),
    "with a comma at the end": lambda text: text.rstrip().encode() + b",\n",
    "with single quotes": lambda text: text.replace('"', "'").encode(),
    "deeply nested": lambda text: b"[" * 100_000,
    "without its last line": lambda text: "".join(text.splitlines(keepends=True)[:-1]).encode(),
    "without its first line": lambda text: "".join(text.splitlines(keepends=True)[1:]).encode(),
    "with its first line twice": lambda text: "".join([*text.splitlines(keepends=True)[:1], text]).encode(),
    "with lines in another order": lambda text: "".join(reversed(text.splitlines(keepends=True))).encode(),
    "with an empty line": lambda text: text.replace("\n", "\n\n", 1).encode(),
    "without the last line's end": lambda text: text.rstrip("\n").encode(),
    "with line separators of Unicode": lambda text: text.replace("\n", "\u2028").encode(),
    "with a very long line": lambda text: (text.rstrip("\n") + " " * 100_000 + "\n").encode(),
}


def damage_text(rng: Random, text: str) -> tuple[bytes, str]:
    """Text with something wrong, as bytes."""
    if rng.random() < 0.4:
        return damage_bytes(rng, text.encode())
    name = rng.choice(list(TEXTS))
    return TEXTS[name](text), name


def damage_json(rng: Random, text: str, wanted: Callable[[Path], bool] = lambda path: True) -> tuple[bytes, Damage]:
    """A JSON file with something wrong."""
    if rng.random() < 0.2:
        content, what = damage_text(rng, text)
        return content, Damage(what)
    tree, damage = damage_tree(rng, json.loads(text), wanted)
    return json_text(tree, indent=rng.choice([None, 2])).encode(), damage


def damage_lines(rng: Random, text: str) -> tuple[bytes, Damage]:
    """A file of JSON lines with something wrong."""
    if rng.random() < 0.3:
        content, what = damage_text(rng, text)
        return content, Damage(what)
    lines = text.splitlines()
    place = rng.randrange(len(lines))
    if rng.random() < 0.2:
        kind = rng.choice(["missing", "twice", "another", "swapped"])
        if kind == "missing":
            del lines[place]
        elif kind == "twice":
            lines.insert(place, lines[place])
        elif kind == "another":
            lines[place] = rng.choice(["", "null", "[]", "{}", "1", '"x"', "{", "NaN", '{"epoch": 1}', lines[place][:-5]])
        else:
            lines[place], lines[0] = lines[0], lines[place]
        return ("\n".join(lines) + "\n").encode(), Damage(f"line {place + 1}: {kind}")
    tree, damage = damage_tree(rng, json.loads(lines[place]))
    lines[place] = json_text(tree)
    return ("\n".join(lines) + "\n").encode(), Damage(f"line {place + 1}: {damage.what}", (place, *damage.path), damage.words)

"""Seeded damage of YAML, circuits and weights."""

from __future__ import annotations

import json
import re
import struct
from random import Random
from typing import Any

import yaml

from tests.odd.damage import Damage, damage_bytes, damage_text, damage_tree, json_text


def damage_yaml(rng: Random, text: str, wanted: Any = lambda path: True) -> tuple[bytes, Damage]:
    """A YAML file with something wrong. No tag here stands for code that does anything."""
    chance = rng.random()
    if chance < 0.15:
        content, what = damage_text(rng, text)
        return content, Damage(what)
    if chance < 0.35:
        lines = text.splitlines()
        places = [place for place, line in enumerate(lines) if re.search(r": \S", line)]
        place, (name, line) = rng.choice(places), rng.choice(list(LINES.items()))
        key, _, value = lines[place].partition(": ")
        lines[place] = line(key, value)
        return ("\n".join(lines) + "\n").encode(), Damage(f"line {place + 1}: {name}", words=(key.strip(),))
    tree, damage = damage_tree(rng, yaml.safe_load(text), wanted)
    return json_text(tree, indent=1).encode(), damage  # JSON is YAML, but for what is not JSON either


#: How a line of YAML is written otherwise, by name.
LINES = {
    "a tag of Python": lambda key, value: f"{key}: !!python/object/apply:time.sleep [0]",
    "a tag of a Python name": lambda key, value: f"{key}: !!python/name:os.sep",
    "a tag of its own": lambda key, value: f"{key}: !mine {value}",
    "a tag of text": lambda key, value: f"{key}: !!str {value}",
    "a tag of a set": lambda key, value: f"{key}: !!set {{a, b}}",
    "a tag of bytes": lambda key, value: f"{key}: !!binary aGVsbG8=",
    "an anchor": lambda key, value: f"{key}: &here {value}",
    "an alias of nothing": lambda key, value: f"{key}: *nowhere",
    "an alias of itself": lambda key, value: f"{key}: &here [*here]",
    "merged": lambda key, value: f"{key}: {{<<: {{a: 1}}, b: 2}}",
    "twice": lambda key, value: f"{key}: {value}\n{key}: {value}",
    "a tab before it": lambda key, value: f"\t{key}: {value}",
    "indented": lambda key, value: f"   {key}: {value}",
    "no space": lambda key, value: f"{key}:{value}",
    "a date": lambda key, value: f"{key}: 2020-01-01",
    "a wrong date": lambda key, value: f"{key}: 2020-99-99",
    "sexagesimal": lambda key, value: f"{key}: 1:30:00",
    "octal": lambda key, value: f"{key}: 010",
    "off": lambda key, value: f"{key}: off",
    "not a number": lambda key, value: f"{key}: .nan",
    "infinite": lambda key, value: f"{key}: .inf",
    "a block": lambda key, value: f"{key}: |\n" + " " * 12 + value,
    "in quotes": lambda key, value: f'{key}: "{value}"',
    "a control character": lambda key, value: f"{key}: \x07{value}",
    "another document": lambda key, value: f"{key}: {value}\n---\na: 1",
    "a question": lambda key, value: f"? [{key.strip()}, x]\n: {value}",
    "nothing": lambda key, value: f"{key}:",
}


def damage_program(rng: Random, text: str) -> tuple[bytes, str]:
    """A circuit in OpenQASM 3 with something wrong."""
    if rng.random() < 0.4:
        return damage_text(rng, text)
    lines = text.splitlines()
    place = rng.randrange(len(lines))
    kind = rng.choice(["missing", "twice", "another"])
    other = [
        "barrier q;",
        "x q[0];",
        "reset q[0];",
        "bit b; b = measure q[0];",
        "ry(0.5) q[9];",
        "if (true) { x q[0]; }",
        "qubit[3] r;",
        "h q;",
    ]
    other += [
        "input float[64] extra;",
        "gate mine a { x a; }",
        'include "other.inc";',
        "delay[10ns] q[0];",
        "ry(1/0) q[0];",
        "gphase(0.5);",
    ]
    new = {"missing": [], "twice": [lines[place]] * 2, "another": [rng.choice(other), lines[place]]}[kind]
    return "\n".join([*lines[:place], *new, *lines[place + 1 :], ""]).encode(), f"line {place + 1} {kind}: {new[:1]}"


def damage_weights(rng: Random, content: bytes, data: bool = True) -> tuple[bytes, Damage]:
    """A safetensors file with something wrong: in its own header, in ours within it, or in its numbers where `data` is true."""
    (size,) = struct.unpack("<Q", content[:8])
    header, body = json.loads(content[8 : 8 + size]), content[8 + size :]
    chance = rng.random()
    if chance < 0.45:
        own, damage = damage_tree(rng, json.loads(header["__metadata__"]["qlstm_qiskit"]))
        text = json_text(own)
        if rng.random() < 0.1:
            text, what = rng.choice([("", "empty"), ("{", "no JSON"), ("[]", "a list"), ("null", "null"), (text[:-9], "cut")])
            damage = Damage(f"our header is {what}")
        header["__metadata__"]["qlstm_qiskit"] = text
        return weights(header, body), damage
    if chance < 0.75:
        tree, damage = damage_tree(rng, header)
        return weights(tree, body), Damage(f"header {damage.what}", None, damage.words)
    if chance < 0.85 and data and body:
        place, number = (
            8 * rng.randrange(len(body) // 8),
            rng.choice([float("nan"), float("inf"), -float("inf"), 1e308, -0.0, 1e-310]),
        )
        body = body[:place] + struct.pack("<d", number) + body[place + 8 :]
        return weights(header, body), Damage(f"the numbers have {number} at {place}")
    if chance < 0.9:
        wrong = rng.choice([0, 1, size - 1, size + 1, len(content), 2**63 - 1, 2**64 - 1])
        return struct.pack("<Q", wrong) + content[8:], Damage(f"the size of the header is {wrong}")
    damaged, what = damage_bytes(rng, content, 0 if data else 8)
    return damaged, Damage(what)


def weights(header: Any, body: bytes) -> bytes:
    text = json_text(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body

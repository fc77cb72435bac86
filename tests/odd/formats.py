"""Seeded damage of tables, YAML, weights and ledgers."""

from __future__ import annotations

import json
import re
import sqlite3
import struct
from pathlib import Path
from random import Random
from typing import Any

import yaml

from tests.odd.damage import Damage, Raw, Twice, damage_bytes, damage_text, damage_tree, json_text, shown

#: Cells that are numbers for some reader and not for another.
CELLS = (
    *(
        "",
        "NaN",
        "nan",
        "NA",
        "n/a",
        "null",
        "None",
        "inf",
        "-inf",
        "Infinity",
        "1e300",
        "-1e300",
        "1e308",
        "1e400",
        "1e-320",
        "-0",
    ),
    *(
        " 0.5 ",
        "\t0.5",
        "+0.5",
        ".5",
        "5.",
        "--1",
        "0.5.",
        "1 000",
        "1\u00a0000",
        "1,000",
        '"1,000"',
        "0,5",
        '"0,5"',
        "1_000",
        "0x10",
    ),
    *(
        "1e",
        "1d0",
        "1f",
        "True",
        "1/2",
        "50%",
        "\u20ac1",
        "\u0663",
        "\uff11",
        "1\u20032",
        "\u22121",
        "2020-01-01",
        "=1+1",
        "#",
        "a",
        "1;2",
    ),
    *('"0.5"', '" 0.5"', '"0.5', "0.5\x00", "1" * 400, "0." + "1" * 400, "1e0000001", "(1)", "1-", "1.0j"),
)


def damage_csv(rng: Random, text: str) -> tuple[bytes, Damage]:
    """A CSV file with something wrong, or written in another way."""
    chance = rng.random()
    if chance < 0.2:
        content, what = damage_text(rng, text)
        return content, Damage(what)
    header, *rows = [line.split(",") for line in text.splitlines()]
    place, column = rng.randrange(len(rows)), rng.randrange(len(header))
    if chance < 0.6:
        cell = rng.choice(CELLS)
        rows[place][column] = cell
        damage = Damage(f"line {place + 2}, column {header[column]!r}: {shown(cell)}", (place, column))
        return joined([header, *rows]), damage
    kind = rng.choice(list(TABLES))
    return TABLES[kind](rng, header, rows), Damage(kind)


def joined(rows: list[list[str]], separator: str = ",") -> bytes:
    return "".join(separator.join(row) + "\n" for row in rows).encode()


def _numbered(rows: list[list[str]], name: str, values: list[Any]) -> list[list[str]]:
    return [[name, *rows[0]], *([str(value), *row] for value, row in zip(values, rows[1:], strict=True))]


def _dates(rng: Random, header: list[str], rows: list[list[str]], *, descending: bool) -> bytes:
    values = [f"2020-01-{day:02d}" for day in range(1, len(rows) + 1)]
    return joined(_numbered([header, *rows], "date", values[::-1] if descending else values))


#: How a table is written otherwise, or wrongly, by name.
TABLES: dict[str, Any] = {
    "semicolons": lambda rng, head, rows: joined([head, *rows], ";"),
    "tabs": lambda rng, head, rows: joined([head, *rows], "\t"),
    "semicolons and decimal commas": lambda rng, head, rows: joined([head, *rows], ";").replace(b".", b","),
    "all in quotes": lambda rng, head, rows: joined([[f'"{cell}"' for cell in row] for row in [head, *rows]]),
    "spaces after commas": lambda rng, head, rows: joined([head, *rows], ", "),
    "a row with a cell more": lambda rng, head, rows: joined([head, *rows[:9], [*rows[9], "1"], *rows[10:]]),
    "a row with a cell less": lambda rng, head, rows: joined([head, *rows[:9], rows[9][:-1], *rows[10:]]),
    "a comma at the end of each line": lambda rng, head, rows: joined([[*row, ""] for row in [head, *rows]]),
    "a comma at the end of each row": lambda rng, head, rows: joined([head, *([*row, ""] for row in rows)]),
    "a name twice": lambda rng, head, rows: joined([[head[0]] * len(head), *rows]),
    "no header": lambda rng, head, rows: joined(rows),
    "only a header": lambda rng, head, rows: joined([head]),
    "another header": lambda rng, head, rows: joined([["a", "b"], *rows]),
    "names in capitals": lambda rng, head, rows: joined([[name.upper() for name in head], *rows]),
    "names between spaces": lambda rng, head, rows: joined([[f" {name} " for name in head], *rows]),
    "a name that is empty": lambda rng, head, rows: joined([["", *head[1:]], *rows]),
    "columns in another order": lambda rng, head, rows: joined([row[::-1] for row in [head, *rows]]),
    "an index": lambda rng, head, rows: joined(_numbered([head, *rows], "", list(range(len(rows))))),
    "dates": lambda rng, head, rows: _dates(rng, head, rows, descending=False),
    "dates from the last": lambda rng, head, rows: _dates(rng, head, rows, descending=True),
    "a column of results": lambda rng, head, rows: joined(_numbered([head, *rows], "prediction", [1] * len(rows))),
    "one row": lambda rng, head, rows: joined([head, *rows[:1]]),
    "few rows": lambda rng, head, rows: joined([head, *rows[: rng.randrange(2, 6)]]),
    "a constant column": lambda rng, head, rows: joined([head, *(["1.5", *row[1:]] for row in rows)]),
    "a column that is constant but for its end": lambda rng, head, rows: joined([head, *(["1.5", *row[1:]] for row in rows[:-1]), rows[-1]]),
    "very large numbers": lambda rng, head, rows: joined([head, *([f"{cell}e300" for cell in row] for row in rows)]),
    "very small numbers": lambda rng, head, rows: joined([head, *([f"{cell}e-310" for cell in row] for row in rows)]),
    "whole numbers": lambda rng, head, rows: joined([head, *([str(round(1000 * float(cell))) for cell in row] for row in rows)]),
    "empty lines at the end": lambda rng, head, rows: joined([head, *rows]) + b"\n\n\n",
    "empty cells at the end": lambda rng, head, rows: joined([head, *rows, [""] * len(head)]),
    "an empty line within": lambda rng, head, rows: joined([head, *rows[:9], [], *rows[9:]]),
    "empty lines before the header": lambda rng, head, rows: b"\n\n" + joined([head, *rows]),
    "a comment": lambda rng, head, rows: b"# comment\n" + joined([head, *rows]),
    "units": lambda rng, head, rows: joined([head, ["m"] * len(head), *rows]),
    "a line break in a cell": lambda rng, head, rows: joined([[*head, "note"], *([*row, '"a\nb"'] for row in rows)]),
    "a quote that is not closed": lambda rng, head, rows: joined([head, *rows[:9], ['"' + rows[9][0], *rows[9][1:]], *rows[10:]]),
    "a thousand columns": lambda rng, head, rows: joined([[*head, *(f"c{k}" for k in range(1000))], *([*row, *["1"] * 1000] for row in rows)]),
    "in Latin-1": lambda rng, head, rows: joined([[*head, "\u00e4"], *([*row, "\u00e4"] for row in rows)]).decode().encode("latin-1"),
    "a zip file's first bytes": lambda rng, head, rows: b"PK\x03\x04" + joined([head, *rows]),
    "a gzip file's first bytes": lambda rng, head, rows: b"\x1f\x8b\x08\x00" + joined([head, *rows]),
}  # fmt: skip


class _Dumper(yaml.SafeDumper):
    """With raw text where it stands, and without aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


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


#: Values of columns, of every storage class.
COLUMNS = (
    *(
        None,
        -1,
        0,
        1,
        2,
        10**18,
        1.5,
        -0.0,
        float("inf"),
        "",
        "x",
        "done",
        "failed",
        "submitted",
        "prepared",
        "0",
        "nan",
        "2020-01-01",
    ),
    *(
        "2020-01-01T00:00:00+00:00",
        "9999-12-31T23:59:59.999+00:00",
        "a" * 2000,
        "\u00e4\U0001f600",
        "[/x]",
        "{}",
        "null",
        "[]",
        "{",
        '{"name": 1}',
    ),
    *(b"", b"\x00\xff", b"PK\x03\x04", "\x1b[31m", "a\nb"),
)


def damage_ledger(rng: Random, path: Path) -> Damage:
    """Damage a ledger in its place."""
    if rng.random() < 0.25:
        content, what = damage_bytes(rng, path.read_bytes())
        path.write_bytes(content)
        return Damage(what)
    with sqlite3.connect(path) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        table = rng.choice([*tables, "jobs", "jobs", "jobs"])
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        column, value = rng.choice(columns), rng.choice(COLUMNS)
        db.execute("PRAGMA ignore_check_constraints = 1")
        kind = rng.choices(
            ("column", "result", "dropped", "renamed", "deleted", "version", "emptied", "twice"), (12, 3, 1, 1, 2, 1, 1, 1)
        )[0]
        rows = [row[0] for row in db.execute(f"SELECT rowid FROM {table}")]
        row = rng.choice(rows) if rows else 0
        if kind == "column":
            _relaxed(db, table)
            db.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, row))
            what = f"{table}.{column} of row {row} is {shown(value)}"
        elif kind == "result":
            return _other_result(rng, db)
        elif kind == "dropped":
            db.execute(f"DROP TABLE {table}")
            what = f"the table {table} is missing"
        elif kind == "renamed":
            db.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO other")
            what = f"the column {table}.{column} is missing"
        elif kind == "deleted":
            db.execute(f"DELETE FROM {table} WHERE rowid = ?", (row,))
            what = f"row {row} of {table} is missing"
        elif kind == "emptied":
            db.execute(f"DELETE FROM {table}")
            what = f"{table} is empty"
        elif kind == "twice":
            _relaxed(db, table)
            db.execute(f"INSERT INTO {table} SELECT * FROM {table} WHERE rowid = {row}")
            what = f"row {row} of {table} is there twice"
        else:
            version = rng.choice([0, 2, -1, 2**31 - 1])
            db.execute(f"PRAGMA user_version = {version}")
            what = f"the version is {version}"
    db.close()
    return Damage(what, words=(column,))


def _relaxed(db: sqlite3.Connection, table: str) -> None:
    """The same table without constraints and types, so that it takes anything."""
    columns = ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({table})"))
    db.execute(f"ALTER TABLE {table} RENAME TO before")
    db.execute(f"CREATE TABLE {table} ({columns})")
    db.execute(f"INSERT INTO {table} SELECT * FROM before")
    db.execute("DROP TABLE before")


def _other_result(rng: Random, db: sqlite3.Connection) -> Damage:
    """Arrays of another number, shape or type, or numbers that are not finite, as a result."""
    import io

    import numpy as np

    row, blob = rng.choice(list(db.execute("SELECT rowid, result FROM jobs WHERE result IS NOT NULL")))
    with np.load(io.BytesIO(blob)) as arrays:
        own = {name: arrays[name] for name in arrays.files}
    first = own["0"]
    changes: dict[str, Any] = {
        "fewer sets": {"0": first[:-1]},
        "more sets": {"0": np.concatenate([first, first])},
        "more observables": {"0": np.hstack([first, first])},
        "no observables": {"0": first[:, :0]},
        "one dimension": {"0": first.ravel()},
        "three dimensions": {"0": first[None]},
        "a number": {"0": np.float64(1)},
        "text": {"0": np.full(first.shape, "x")},
        "complex numbers": {"0": first * 1j},
        "whole numbers": {"0": np.ones(first.shape, int)},
        "single precision": {"0": first.astype(np.float32)},
        "not a number": {"0": first * np.nan},
        "infinite": {"0": first + np.inf},
        "beyond one": {"0": first + 7},
        "no array": {},
        "another name": {"zero": first},
        "an array more": {"0": first, "1": first},
    }
    name = rng.choice(list(changes))
    buffer = io.BytesIO()
    np.savez(buffer, **({key: value for key, value in own.items() if key != "0"} | changes[name]))
    db.execute("UPDATE jobs SET result = ? WHERE rowid = ?", (buffer.getvalue(), row))
    db.commit()
    return Damage(f"the result of row {row} is {name}", ("result", name))


__all__ = ["Raw", "Twice", "damage_csv", "damage_ledger", "damage_weights", "damage_yaml"]

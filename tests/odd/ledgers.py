"""Seeded damage of records of jobs."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tests.odd.damage import Damage, damage_bytes, shown

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

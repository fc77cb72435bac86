"""Seeded damage of CSV files, and other ways to write them."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.odd.damage import Damage, damage_text, shown

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


def _beside(header: list[str], rows: list[list[str]], number: int) -> bytes:
    return joined([[*header, *(f"c{k}" for k in range(number))], *([*row, *["1"] * number] for row in rows)])


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
    "constant but for its end": lambda rng, head, rows: joined([head, *(["1.5", *row[1:]] for row in rows[:-1]), rows[-1]]),
    "very large numbers": lambda rng, head, rows: joined([head, *([f"{cell}e300" for cell in row] for row in rows)]),
    "very small numbers": lambda rng, head, rows: joined([head, *([f"{cell}e-310" for cell in row] for row in rows)]),
    "whole numbers": lambda rng, head, rows: joined([head, *([str(round(1e3 * float(cell))) for cell in row] for row in rows)]),
    "empty lines at the end": lambda rng, head, rows: joined([head, *rows]) + b"\n\n\n",
    "empty cells at the end": lambda rng, head, rows: joined([head, *rows, [""] * len(head)]),
    "an empty line within": lambda rng, head, rows: joined([head, *rows[:9], [], *rows[9:]]),
    "empty lines before the header": lambda rng, head, rows: b"\n\n" + joined([head, *rows]),
    "a comment": lambda rng, head, rows: b"# comment\n" + joined([head, *rows]),
    "units": lambda rng, head, rows: joined([head, ["m"] * len(head), *rows]),
    "a line break in a cell": lambda rng, head, rows: joined([[*head, "note"], *([*row, '"a\nb"'] for row in rows)]),
    "a quote that is not closed": lambda rng, head, rows: joined([head, *rows[:9], ['"1', *rows[9][1:]], *rows[10:]]),
    "a thousand columns": lambda rng, head, rows: _beside(head, rows, 1000),
    "in Latin-1": lambda rng, head, rows: joined([[*row, "\u00e4"] for row in [head, *rows]]).decode().encode("latin-1"),
    "a zip file's first bytes": lambda rng, head, rows: b"PK\x03\x04" + joined([head, *rows]),
    "a gzip file's first bytes": lambda rng, head, rows: b"\x1f\x8b\x08\x00" + joined([head, *rows]),
}  # fmt: skip

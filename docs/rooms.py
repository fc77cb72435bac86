"""The floor plan as a picture, from the imports of the code: `python docs/rooms.py`.

Rooms are boxes, the lowest floor at the bottom. Each room that is imported has a lane at the right, from which an arrow leads
into it; a dot on the lane stands in the row of each room that imports it. Inner rooms have the same inside their box.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "_static" / "rooms.svg"

sys.path[:0] = [str(ROOT)]

from tests.test_floors import FLOORS, INNER, edges  # noqa: E402 - beside this folder

#: Sizes in pixels: the picture is as wide as a small phone, where it is shown as it is.
WIDTH, ROW, INNER_ROW, GAP = 390, 26, 21, 8
LEFT, BOX, LANE, INNER_LANE = 8, 196, 13.2, 9.4

COLOURS = ("#1f5fa8", "#c8501e", "#3b7d3b", "#7b4aa3", "#a8740a", "#317f8c", "#a83253")


def inner_rooms(room: str) -> tuple[str, ...]:
    """The inner rooms of a room, from the top."""
    return INNER.get(room, ())[::-1]


def height(room: str) -> int:
    """Of the box of a room."""
    return ROW + (len(inner_rooms(room)) * INNER_ROW + 4 if room in INNER else 0)


def lanes(
    rows: Sequence[tuple[str, float]], found: Collection[tuple[str, str]], start: float, first: float, step: float
) -> list[str]:
    """The lanes of rooms that are imported, each with its dots and its arrow.

    Args:
        rows: Rooms from the top, and the middle of their rows.
        found: Pairs of a room and one that it imports.
        start: Where the boxes of the rooms end.
        first: Where the first lane is.
        step: From lane to lane.
    """
    middle = dict(rows)
    order = [name for name, _ in rows]
    targets = [name for name in order if any(target == name for _, target in found)]
    place = {name: first + step * number for number, name in enumerate(targets)}
    colour = {name: COLOURS[order.index(name) % len(COLOURS)] for name in targets}
    shapes = []
    for name in order:
        own = [target for source, target in found if source == name]
        if own:
            far = max(place[target] for target in own)
            shapes.append(f'<path d="M{start:g} {middle[name] - 3:g}H{far:g}" stroke="#c4c4c4" fill="none"/>')
    for name in targets:
        x, into, own = place[name], middle[name] + 4, colour[name]
        top = min(middle[source] for source, target in found if target == name) - 3
        shapes.append(f'<path d="M{x:g} {top:g}V{into:g}H{start + 6:g}" stroke="{own}" fill="none" stroke-width="1.4"/>')
        shapes.append(f'<path d="M{start:g} {into:g}l7 -3.4v6.8z" fill="{own}"/>')
    for source, target in sorted(found, key=lambda pair: (order.index(pair[0]), order.index(pair[1]))):
        y = middle[source] - 3
        shapes.append(
            f'<circle data-import="{source} {target}" cx="{place[target]:g}" cy="{y:g}" r="2.6" fill="{colour[target]}"/>'
        )
    return shapes


def box(x: float, y: float, wide: float, high: float, fill: str) -> str:
    """A box with round corners."""
    return f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{high:g}" rx="4" fill="{fill}" stroke="#8a8a8a"/>'


def picture() -> str:
    """The picture as SVG."""
    y, rows, shapes = 30.0, [], []
    for room in FLOORS[::-1]:
        shapes.append(box(LEFT, y, BOX, height(room), "#f4f6f8" if room in INNER else "#e7eef6"))
        shapes.append(f'<text x="{LEFT + 9}" y="{y + 17.5:g}" class="room">{room}</text>')
        rows.append((room, y + ROW / 2))
        inner = [(name, y + ROW + (number + 0.5) * INNER_ROW) for number, name in enumerate(inner_rooms(room))]
        for name, middle in inner:
            shapes.append(box(LEFT + 8, middle - 9, 88, 18, "#ffffff"))
            shapes.append(f'<text x="{LEFT + 14}" y="{middle + 4:g}">{name}</text>')
        if inner:
            shapes += lanes(inner, edges(room), LEFT + 96, LEFT + 112, INNER_LANE)
        y += height(room) + GAP
    shapes += lanes(rows, edges(), LEFT + BOX, LEFT + BOX + 16, LANE)
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:g}" width="{WIDTH}" height="{y:g}" '
            'font-family="Helvetica, Arial, sans-serif" font-size="12.5" fill="#222222">',
            "<title>The rooms of qlstm_qiskit, and what imports what</title>",
            "<style>.room { font-weight: bold; font-size: 14px; }</style>",
            f'<rect width="{WIDTH}" height="{y:g}" rx="6" fill="#ffffff" stroke="none"/>',
            f'<text x="{LEFT}" y="19" font-size="11.5">A dot in a row: its room imports the one at the arrow.</text>',
            *shapes,
            "</svg>",
            "",
        )
    )


if __name__ == "__main__":
    PICTURE.write_text(picture())

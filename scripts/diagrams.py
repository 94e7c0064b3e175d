"""Draws the diagrams of the documentation: an SVG from a TOML file with boxes on a grid and arrows between them.

The file has a `title` and a `description` for readers who see no drawing, and two lists:

* `box`: `name`, `row` and `column` from 0; optionally `width` in columns (default 1), `note`, a second line, and `kind`:
  "outside" for what is no part of the package, "pure" for modules without input and output.
* `arrow`: `from` and `to`, the names of boxes beside or above each other; optionally a `label`, and `back = true`
  for an answer.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from pathlib import Path

COLUMN, ROW, BOX, GAP, MARGIN = 256, 104, 56, 24, 20

STYLE = """\
    .page { fill: #ffffff; stroke: #d0d7de }
    .own { fill: #ddf4ff; stroke: #0969da; stroke-width: 1.5 }
    .pure { fill: #dafbe1; stroke: #1a7f37; stroke-width: 1.5 }
    .outside { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.5 }
    .there { stroke: #1f2328; stroke-width: 1.6; fill: none }
    .back { stroke: #1a7f37; stroke-width: 1.6; fill: none }
    .head { fill: #1f2328 }
    .backhead { fill: #1a7f37 }
    text { font-family: -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 14px }
    text { fill: #1f2328; text-anchor: middle }
    .name { font-weight: 600 }
    .note { font-size: 11.5px; fill: #57606a }
    .label { font-size: 11.5px; text-anchor: start }
    .middle { text-anchor: middle }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0d1117; stroke: #30363d }
      .own { fill: #0c2d4d; stroke: #58a6ff }
      .pure { fill: #0f2e1a; stroke: #3fb950 }
      .outside { fill: #161b22; stroke: #8b949e }
      .there { stroke: #e6edf3 }
      .back { stroke: #3fb950 }
      .head { fill: #e6edf3 }
      .backhead { fill: #3fb950 }
      text { fill: #e6edf3 }
      .note { fill: #9198a1 }
    }"""


class Box(NamedTuple):
    """A box with its place in pixels."""

    name: str
    note: str
    kind: str
    left: int
    top: int
    width: int

    @property
    def right(self) -> int:
        """The right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The lower edge."""
        return self.top + BOX


def draw(source: Path) -> str:
    """The SVG of a TOML file.

    Raises:
        SystemExit: an arrow names a box that the file does not have.
    """
    data = tomllib.loads(source.read_text("utf-8"))
    boxes = {each["name"]: _box(each) for each in data["box"]}
    width = max(box.right for box in boxes.values()) + MARGIN
    height = max(box.bottom for box in boxes.values()) + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        '  role="img" aria-labelledby="title description">',
        f"  <!-- Drawn by scripts/docs from {source.name}. -->",
        f'  <title id="title">{escape(data["title"])}</title>',
        f'  <desc id="description">{escape(data["description"])}</desc>',
        f"  <style>\n{STYLE}\n  </style>",
        "  <defs>",
        *(_head(name) for name in ("there", "back")),
        "  </defs>",
        f'  <rect class="page" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="10"/>',
    ]
    for arrow in data.get("arrow", ()):
        if missing := {arrow["from"], arrow["to"]} - boxes.keys():
            raise SystemExit(f"{source.name}: an arrow names {missing.pop()!r}, which is no box.")
        lines += _arrow(boxes[arrow["from"]], boxes[arrow["to"]], arrow)
    for box in boxes.values():
        lines += _rectangle(box)
    return "\n".join([*lines, "</svg>", ""])


def _box(each: dict[str, Any]) -> Box:
    return Box(
        each["name"],
        each.get("note", ""),
        each.get("kind", "own"),
        MARGIN + each["column"] * COLUMN,
        MARGIN + each["row"] * ROW,
        each.get("width", 1) * COLUMN - GAP,
    )


def _head(name: str) -> str:
    kind = "backhead" if name == "back" else "head"
    return (
        f'    <marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path class="{kind}" d="M0 0 10 5 0 10z"/></marker>'
    )


def _rectangle(box: Box) -> list[str]:
    middle = box.left + box.width // 2
    name_y = box.top + (24 if box.note else 33)
    lines = [
        f'  <rect class="{box.kind}" x="{box.left}" y="{box.top}" width="{box.width}" height="{BOX}" rx="8"/>',
        f'  <text class="name" x="{middle}" y="{name_y}">{escape(box.name)}</text>',
    ]
    if box.note:
        lines.append(f'  <text class="note" x="{middle}" y="{box.top + 43}">{escape(box.note)}</text>')
    return lines


def _arrow(begin: Box, end: Box, arrow: dict[str, Any]) -> list[str]:
    """A straight arrow: level between boxes of one row, else upright where one box is above the other."""
    kind = "back" if arrow.get("back") else "there"
    if begin.top == end.top:
        y = begin.top + BOX // 2
        x, to = (begin.right + 2, end.left - 3) if begin.left < end.left else (begin.left - 2, end.right + 3)
        path, label = f"M{x} {y}H{to}", ("label middle", (x + to) // 2, y - 7)
    else:
        x = (max(begin.left, end.left) + min(begin.right, end.right)) // 2
        y, to = (begin.bottom + 2, end.top - 3) if begin.top < end.top else (begin.top - 2, end.bottom + 3)
        path, label = f"M{x} {y}V{to}", ("label", x + 8, (y + to) // 2 + 4)
    lines = [f'  <path class="{kind}" d="{path}" marker-end="url(#{kind})"/>']
    if text := arrow.get("label"):
        lines.append(f'  <text class="{label[0]}" x="{label[1]}" y="{label[2]}">{escape(text)}</text>')
    return lines

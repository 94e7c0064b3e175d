"""Draws a run: bars for each contestant, side by side, as an SVG that is readable on light and on dark pages."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from .figures import MEASURES, Results, Sizes
from .report import spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .contestants import Contestant

PANELS = (
    ("rate_16", "Frames a second, 16 streams", "more is better"),
    ("added_first_frame", "Added time to first frame, ms", "less is better"),
    ("cpu_paced", "CPU time per frame, {lag_streams} streams of 20 tokens/s, µs", "less is better"),
    ("lag_p99", "Lag of a token, {lag_streams} such streams, 99th percentile, ms", "less is better"),
    ("crowd_p99", "Lag of a token, {crowd_streams} such streams, 99th percentile, ms", "less is better"),
    ("memory_stream", "Memory per open stream, kB", "less is better"),
)
COLUMNS = 2
WIDTH = 860
PANEL_WIDTH = WIDTH // COLUMNS
LABELS_WIDTH = 112
VALUES_WIDTH = 62
HEAD = 50
BAR = 18
STEP = 26
OWN = frozenset({"console", "mitmdump"})

STYLE = """\
  text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 13px }
  .note { fill: #59636e; font-size: 11px }
  .own { fill: #2a6fc9 } .other { fill: #a3acb6 } .range { stroke: #1f2328; stroke-opacity: .65; stroke-width: 1.4; fill: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .note { fill: #9198a1 }
    .own { fill: #58a6ff } .other { fill: #656d76 } .range { stroke: #e6edf3 }
  }"""


def as_svg(contestants: Sequence[Contestant], results: Results, sizes: Sizes) -> str:
    """The chart of translate mode: medians as bars, least and most as lines on them."""
    names = [it.name for it in contestants if it.mode == "translate" and not it.is_floor]
    panels = [panel for panel in PANELS if any(panel[0] in results[name] for name in names)]
    panel_height = HEAD + STEP * len(names) + 10
    height = panel_height * -(-len(panels) // COLUMNS)
    drawn = [
        _panel(panel, names, results, sizes, index % COLUMNS * PANEL_WIDTH, index // COLUMNS * panel_height)
        for index, panel in enumerate(panels)
    ]
    description = f"Bar charts that compare {', '.join(names)}; the figures are in the table beside them."
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{escape(description)}</title>",
            f"<style>\n{STYLE}\n</style>",
            *drawn,
            "</svg>\n",
        ]
    )


def _panel(panel: tuple[str, str, str], names: Sequence[str], results: Results, sizes: Sizes, left: int, top: int) -> str:
    key, title, note = panel
    measure = MEASURES[key]
    room = PANEL_WIDTH - LABELS_WIDTH - VALUES_WIDTH - 16
    summaries = {name: spread([value * measure.scale for value in results[name].get(key, ())]) for name in names}
    top_value = max((summary.most for summary in summaries.values() if summary), default=0) or 1
    lines = [
        f'<g transform="translate({left} {top})">',
        f'<text class="title" x="8" y="20">{escape(title.format(**asdict(sizes)))}</text>',
        f'<text class="note" x="8" y="36">{escape(note)}</text>',
    ]
    for index, name in enumerate(names):
        y = HEAD + index * STEP
        lines.append(f'<text x="{LABELS_WIDTH - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        if (summary := summaries[name]) is None:
            continue
        median, least, most = (max(value, 0) / top_value * room + LABELS_WIDTH for value in summary)
        kind = "own" if name in OWN else "other"
        lines.append(
            f'<rect class="{kind}" x="{LABELS_WIDTH}" y="{y}" width="{median - LABELS_WIDTH:.1f}" height="{BAR}" rx="2"/>'
        )
        if most - least > 1:
            middle = y + BAR / 2
            ends = f"M{least:.1f} {middle - 4}v8M{most:.1f} {middle - 4}v8"
            lines.append(f'<path class="range" d="M{least:.1f} {middle}H{most:.1f}{ends}"/>')
        text = f"{summary.median:,.{measure.digits if summary.median < 100 else 0}f}"
        lines.append(f'<text x="{most + 6:.1f}" y="{y + 13}">{text}</text>')
    return "\n".join([*lines, "</g>"])

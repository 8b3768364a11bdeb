"""A page of HTML that needs nothing but itself: its frame, its tables and its pictures."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

FEW_DECADES = 100.0
"""Largest over smallest value under which a logarithmic axis is labelled between powers of ten too."""
INK, ACCENT, QUIET = "#1f2937", "#0f766e", "#9ca3af"

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; margin: .5rem 0; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; }
td { border-top: 1px solid #e5e7eb; } td.n { text-align: right; font-variant-numeric: tabular-nums; }
.lead { font-size: 1.1rem; } figure { margin: 1rem 0; } img { max-width: 100%; } figcaption { color: #6b7280; }
"""


def page(title: str, body: Iterable[str]) -> str:
    """Put pieces of HTML into one page."""
    head = f"<meta charset='utf-8'><title>{escape(title)}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(body)}</body></html>\n"


def table(rows: Iterable[Iterable[Any]]) -> str:
    """Rows of texts and numbers, escaped."""
    return "<table>" + "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows) + "</table>"


def _cell(value: Any) -> str:
    if isinstance(value, int | float):
        fine = isinstance(value, float) and abs(value) < 1000  # noqa: PLR2004 - beyond it, decimals are noise
        text = f"{value:.4g}" if fine else f"{value:,.0f}".replace(",", "\u2009")
        return f"<td class='n'>{text}</td>"
    return f"<td>{escape('none' if value is None else str(value))}</td>"


def figure_of(width: float, height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """Empty figure of so many inches with ``rows`` axes, one below the other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = [figure.add_subplot(rows, 1, row + 1) for row in range(rows)]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def plain_decades(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers, since `image` leaves what looks like mathematics as it is."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < FEW_DECADES * low else (1.0,), numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def image(figure: Figure) -> str:
    """Return the figure as an SVG image in the page; names from the data stay inert in an image."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "edgetune", "svg.fonttype": "none", "text.parse_math": False}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return f"<img alt='' src='data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}'>"

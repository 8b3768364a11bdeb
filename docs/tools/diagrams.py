"""Draw the diagrams of the documentation: boxes on a grid and arrows between them, as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

PICTURES: Final = Path(__file__).parents[1] / "pictures"
COLUMN, ROW = 190, 96
"""Distances of the grid, in pixels."""
HEIGHT, LETTER, LINE = 46, 7.2, 16
"""Height of a box, width of a letter and height of a line of text, in pixels."""
HEAD: Final = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"
 font-family="sans-serif" font-size="13">
<title>{title}</title>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0 0 8 4 0 8z" fill="#455a64"/></marker></defs>
<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>"""


@dataclass(frozen=True)
class Box:
    """A box at a column and a row of the grid; ``|`` in its text begins a line."""

    text: str
    column: float
    row: float
    store: bool = False

    @property
    def width(self) -> float:
        """Width in pixels."""
        return max(len(line) for line in self.text.split("|")) * LETTER + 22

    @property
    def middle(self) -> tuple[float, float]:
        """Place of the middle, in pixels."""
        return (self.column + 0.5) * COLUMN, (self.row + 0.5) * ROW


LOOP = {
    "sensor": Box("sensor", 0, 0),
    "node": Box("judge|every window", 1, 0),
    "broker": Box("MQTT broker", 3, 0, store=True),
    "collect": Box("collect|labelled data", 3, 1),
    "search": Box("search a network within|RAM, flash, operations, time", 2, 2),
    "proof": Box("prove it on|held-out recordings", 1, 1),
}
LOOP_ARROWS = [
    ("sensor", "node", "samples"),
    ("node", "broker", "fault, sign, model"),
    ("broker", "collect", "recalibrate"),
    ("collect", "search", ""),
    ("search", "proof", ""),
    ("proof", "node", "better: swap it in"),
]
THREADS = {
    "sources": Box("source threads", 0, 0),
    "mqtt": Box("MQTT thread", 0, 1),
    "child": Box("search child", 0, 2),
    "files": Box("file worker", 0, 3),
    "inbox": Box("bounded inbox", 1.6, 1.5, store=True),
    "node": Box("main thread:|Node.handle", 3, 1.5),
    "effects": Box("effects: start a search,|save, install", 3, 3),
    "outbox": Box("outbox on disk", 4.3, 1.5, store=True),
    "sender": Box("sender thread,|to the broker", 4.3, 0),
}
THREADS_ARROWS = [
    ("sources", "inbox", "ChunkArrived"),
    ("mqtt", "inbox", "CommandArrived"),
    ("child", "inbox", "SearchReported"),
    ("files", "inbox", "RecordingSaved"),
    ("inbox", "node", "event"),
    ("node", "outbox", "Publish"),
    ("node", "effects", ""),
    ("effects", "files", "to the worker and the child"),
    ("outbox", "sender", ""),
]
FAULT = {
    "chunk": Box("chunk", 0, 1),
    "windower": Box("windower", 1, 0.5),
    "indicators": Box("indicators|of one second", 1.5, 2),
    "inference": Box("inference:|onnxruntime", 2, 0),
    "distance": Box("distance from the|training data", 2, 1),
    "alarm": Box("alarm:|votes over time", 3, 0.5),
    "evidence": Box("evidence", 3, 2),
    "message": Box("fault message", 4, 1),
    "outbox": Box("outbox", 5, 1, store=True),
}
FAULT_ARROWS = [
    ("chunk", "windower", ""),
    ("chunk", "indicators", ""),
    ("windower", "inference", ""),
    ("windower", "distance", ""),
    ("inference", "alarm", ""),
    ("distance", "alarm", ""),
    ("indicators", "evidence", ""),
    ("alarm", "evidence", ""),
    ("alarm", "message", ""),
    ("evidence", "message", ""),
    ("message", "outbox", ""),
]
DIAGRAMS: Final = {
    "loop": ("The loop of a node: judge, collect, search, prove, swap", LOOP, LOOP_ARROWS),
    "threads": ("Threads of a node: they report, the main thread decides", THREADS, THREADS_ARROWS),
    "chunk-to-fault": ("The way from a chunk to a fault message", FAULT, FAULT_ARROWS),
}


def edge(box: Box, toward: tuple[float, float]) -> tuple[float, float]:
    """Return where the line from a box's middle to another place leaves the box, with a little air."""
    x, y = box.middle
    dx, dy = toward[0] - x, toward[1] - y
    reach = min((box.width / 2 + 4) / abs(dx) if dx else 9.0, (HEIGHT / 2 + 4) / abs(dy) if dy else 9.0)
    return x + dx * reach, y + dy * reach


def lines(text: str, x: float, y: float, colour: str) -> str:
    """Return centred lines of text."""
    rows = text.split("|")
    first = y - (len(rows) - 1) * LINE / 2 + 4.5
    return "\n".join(
        f'<text x="{x:.0f}" y="{first + number * LINE:.0f}" text-anchor="middle" fill="{colour}">{escape(row)}</text>'
        for number, row in enumerate(rows)
    )


def draw(title: str, boxes: dict[str, Box], arrows: list[tuple[str, str, str]]) -> str:
    """Return a diagram as SVG."""
    width = (max(box.column for box in boxes.values()) + 1) * COLUMN
    height = (max(box.row for box in boxes.values()) + 1) * ROW
    parts = [HEAD.format(width=round(width), height=round(height), title=escape(title))]
    for start, end, label in arrows:
        x1, y1 = edge(boxes[start], boxes[end].middle)
        x2, y2 = edge(boxes[end], boxes[start].middle)
        parts.append(
            f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" stroke="#455a64" marker-end="url(#tip)"/>'
        )
        if label:
            x, y = (x1 + x2) / 2, (y1 + y2) / 2
            wide = len(label) * LETTER + 4
            parts.append(
                f'<rect x="{x - wide / 2:.0f}" y="{y - 9:.0f}" width="{wide:.0f}" height="18" fill="#ffffff"/>'
            )
            parts.append(lines(label, x, y, "#455a64"))
    for box in boxes.values():
        x, y = box.middle
        round_corner, fill = (HEIGHT / 2, "#fff3e0") if box.store else (5, "#e3f2fd")
        parts.append(
            f'<rect x="{x - box.width / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{box.width:.0f}" height="{HEIGHT}" '
            f'rx="{round_corner:.0f}" fill="{fill}" stroke="#1565c0"/>'
        )
        parts.append(lines(box.text, x, y, "#102027"))
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    """Write every diagram."""
    for name, (title, boxes, arrows) in DIAGRAMS.items():
        (PICTURES / f"{name}.svg").write_text(draw(title, boxes, arrows), encoding="utf-8")


if __name__ == "__main__":
    main()

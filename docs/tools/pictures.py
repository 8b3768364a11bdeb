"""Draw the pictures of the documentation anew: programs run in a terminal, pages are opened in a browser.

Needs mosquitto and chromium; `make screenshots` installs the rest.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from fcntl import ioctl
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyte
from rich.console import Console
from rich.text import Text

from examples import Plant, plant_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PICTURES: Final = Path(__file__).parents[1] / "pictures"
EDGETUNE: Final = (sys.executable, "-m", "edgetune_node")
COLUMNS: Final = 110
NAMED: Final = {"brown": "yellow", "default": ""}
"""What pyte calls colours, for rich."""


def terminal(
    command: Sequence[str], rows: int, until: Callable[[pyte.Screen], bool] | None = None, seconds: float = 300.0
) -> pyte.Screen:
    """Run a program in a terminal; return what stands there once it has ended, or once a condition holds."""
    screen = pyte.Screen(COLUMNS, rows)
    stream = pyte.ByteStream(screen)
    child, master = pty.fork()
    if child == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(rows)}
        os.execv(command[0], command)  # noqa: S606 - our own program
    ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))
    deadline = time.monotonic() + seconds
    with contextlib.suppress(OSError):  # it has ended
        while time.monotonic() < deadline and not (until and until(screen)):
            if select.select([master], [], [], 0.2)[0]:
                stream.feed(os.read(master, 65536))
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, 2)
    os.waitpid(child, 0)
    os.close(master)
    return screen


def draw(screen: pyte.Screen, name: str, title: str) -> None:
    """Write a terminal as a picture."""
    lines = []
    for row in range(screen.lines):
        text = Text()
        for column in range(screen.columns):
            cell = screen.buffer[row][column]
            style = " ".join(
                word
                for word in (
                    "bold" if cell.bold else "",
                    "reverse" if cell.reverse else "",
                    colour(cell.fg),
                    f"on {colour(cell.bg)}" if colour(cell.bg) else "",
                )
                if word
            )
            text.append(cell.data, style)
        text.rstrip()
        lines.append(text)
    while lines and not lines[-1].plain:
        lines.pop()
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
    for line in lines:
        console.print(line)
    drawn = re.sub(
        r"@font-face \{.*?\}", "", console.export_svg(title=title), flags=re.DOTALL
    )  # it is loaded from elsewhere
    (PICTURES / f"{name}.svg").write_text(drawn, encoding="utf-8")


def colour(name: str) -> str:
    """Return what rich calls a colour of pyte."""
    if len(name) == len("rrggbb") and all(digit in "0123456789abcdef" for digit in name):
        return f"#{name}"
    for bright in ("bright", "light"):
        if name.startswith(bright):
            return f"bright_{NAMED.get(name.removeprefix(bright), name.removeprefix(bright))}"
    return NAMED.get(name, name)


def page(path: Path, name: str, height: int) -> None:
    """Open a page in a browser and write what it shows."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"
    subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--hide-scrollbars",
            f"--window-size=1100,{height}",
            f"--screenshot={PICTURES / name}.png",
            path.resolve().as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )


def of_a_node(plant: Plant, folder: Path) -> None:
    """Draw what the command line and the reports show of a node that learns and meets a fault."""
    config = str(folder / "config.toml")
    plant.wait("info", bool)
    draw(terminal([*EDGETUNE, "doctor", "--config", config], 30), "doctor", "edgetune doctor --config config.toml")
    plant.play("bearing1", "normal")
    plant.collect("bearing1", {"normal": "normal", "inner": "inner_severe", "outer": "outer_severe"})
    recalibrate = ["recalibrate", "--config", config, "--asset", "bearing1", "--source", "stored", "--deploy", "always"]
    draw(terminal([*EDGETUNE, *recalibrate], 30), "recalibrate", "edgetune recalibrate --source stored")
    since = len(plant.heard)
    plant.play("bearing1", "inner_severe")
    plant.wait("fault", lambda said: said["active"] and said["evidence"]["physics"] == "agrees", since)
    watched = terminal(
        [*EDGETUNE, "watch", "--config", config], 20, lambda shown: any("inner" in line for line in shown.display), 30.0
    )
    draw(watched, "watch", "edgetune watch --config config.toml")
    models = folder / "data" / "assets" / "bearing1" / "models"
    page(models / "current" / "report.html", "model-report", 1400)
    report = folder / "report.html"
    subprocess.run([*EDGETUNE, "report", "data", "--config", config, "--out", str(report)], check=True, cwd=folder)
    page(report, "recordings-report", 1600)


def main() -> None:
    """Draw all pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), plant_of(Path(folder)) as plant:
        of_a_node(plant, Path(folder))
    draw(terminal([*EDGETUNE, "demo"], 60), "demo", "edgetune demo")


if __name__ == "__main__":
    main()

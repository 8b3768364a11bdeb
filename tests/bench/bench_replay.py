"""What a node says of recordings that it knows, of others, and of the same at another speed. Run by ``make bench``.

A network is searched on four of the ten CWRU conditions at 1797 rpm; then five seconds of every recording at 1797 and
at 1772 rpm are played through an asset as it runs in a node. EDGETUNE_DATA names the recordings.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections import Counter
from pathlib import Path

from real_data import ABSENT, DATA
from rich.console import Console
from rich.table import Table

from edgetune_nas.bundle.read import Bundle, load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.search.run import search
from edgetune_node.config.settings import AssetSection
from edgetune_node.contract.fault import Fault
from edgetune_node.contract.messages import Classification
from edgetune_node.contract.topics import Topics
from edgetune_node.events.publisher import Publisher
from edgetune_node.monitor.asset import Asset
from edgetune_signal import Chunk, Recording, load_dataset, read_recording, write_recording

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from manual_clock import EPOCH, ManualClock

KNOWN = ("normal", "inner_007", "ball_014", "outer_centered_007")
RATE, BLOCK, SECONDS = 12_000, 240, 5
SECTION = AssetSection(
    id="bearing",
    rate_hz=RATE,
    window={"length": 512, "hop": 512},
    machine={"bearing": "6205-2RS", "shaft_rpm": 1797},
    alarm={"raise_after_s": 0.4, "clear_after_s": 0.4},
)


def searched(folder: Path, data: Path) -> Bundle:
    """Search on the known recordings."""
    for name in KNOWN:
        write_recording(data / f"{name}.npz", read_recording(folder / "cwru_de_1797rpm" / f"{name}.npz"))
    windows = load_dataset(data, window=512, hop=256, unit="g")
    budget = Budget(ram_bytes=4096, search_seconds=15)
    found = search(windows, task="fault", budget=budget, out=data / "found", candidates=40)
    return load_bundle(found.bundle)


def played(bundle: Bundle, recording: Recording) -> tuple[Counter[str], list[Fault]]:
    """Play a recording; give the windows of each class, and every change on ``fault``."""
    clock, numbers = ManualClock(EPOCH), itertools.count()
    asset = Asset(SECTION, Publisher(Topics("edgetune", "n"), "boot", clock), lambda: f"e{next(numbers)}")
    asset.swap(bundle, None)
    said: Counter[str] = Counter()
    faults: list[Fault] = []
    for number in range(SECONDS * RATE // BLOCK):
        clock.now += BLOCK / RATE
        samples = recording.samples[:, number * BLOCK : (number + 1) * BLOCK]
        for effect in asset.listen(Chunk(samples, round(clock.now * 1e9), RATE, number)):
            if isinstance(effect.message, Classification):
                said[effect.message.class_] += 1
            elif isinstance(effect.message, Fault):
                faults.append(effect.message)
    return said, faults


def main() -> None:
    """Print the table, or that there are no recordings."""
    console = Console(width=130)
    if not (DATA / "cwru_de_1797rpm").is_dir():
        console.print(f"replay: {ABSENT}")
        return
    with tempfile.TemporaryDirectory() as data:
        bundle = searched(DATA, Path(data))
        table = Table(title=f"{SECONDS} s of each recording through an asset that knows {', '.join(sorted(KNOWN))}")
        for name in ("rpm", "recording", "windows as", "unknown", "fault in the end", "physics"):
            table.add_column(name, justify="right" if name == "unknown" else "left")
        for rpm in (1797, 1772):
            for path in sorted((DATA / f"cwru_de_{rpm}rpm").glob("*.npz")):
                said, faults = played(bundle, read_recording(path))
                most = [f"{name} {count}" for name, count in said.most_common(2) if name != "unknown"]
                end = faults[-1] if faults else None
                known = " (known)" if path.stem in KNOWN else ""
                table.add_row(
                    str(rpm),
                    f"{path.stem}{known}",
                    ", ".join(most),
                    f"{said['unknown'] / said.total():.0%}",
                    "none" if end is None or not end.active else end.class_,
                    "" if end is None else end.evidence.physics,
                )
    console.print(table)


if __name__ == "__main__":
    main()

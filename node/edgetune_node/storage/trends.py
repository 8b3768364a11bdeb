"""The trend of an asset on disk: a row a minute, appended in batches to a file a month, bounded in bytes."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from edgetune_node.errors import NodeError
from edgetune_node.monitor import TREND_FIGURES, TREND_ROW

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgetune_node.contract import TrendFigure, TrendStep
    from edgetune_node.events import TrendRow

SUFFIX: Final = ".trend"
MINUTE_S: Final = 60
STEPS: Final[dict[TrendStep, int]] = {"minute": 60, "hour": 3600, "day": 86_400}
GOOD_ROWS: Final = 2000
"""Without a step the finest is taken that gives no more rows."""
MOST_ROWS: Final = 11_000
"""Of minutes a week, of hours more than a year."""
_DTYPE: Final = np.dtype([("minute", "<u4"), ("means", "<f4", (len(TREND_FIGURES),))])


class TrendStore:
    """Means of each minute, as `edgetune_node.monitor.TrendRecorder` makes them.

    Nothing is flushed: what a power cut takes of the last half minute is not worth the wear of an SD card.

    Parameters
    ----------
    folder
        Where the files are, one a month.
    max_bytes
        Bytes they may take together, of which the oldest file goes first; 0 keeps nothing.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def append(self, rows: bytes) -> None:
        """Write rows behind those that are there; a row that a power cut has torn is replaced.

        Raises
        ------
        OSError
            The disk takes nothing.
        """
        if self._max_bytes == 0 or not rows:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        minute = int(TREND_ROW.unpack_from(rows)[0])
        path = self._folder / f"{datetime.fromtimestamp(minute * MINUTE_S, UTC):%Y-%m}{SUFFIX}"
        with path.open("ab") as file:
            torn = os.fstat(file.fileno()).st_size % TREND_ROW.size
            if torn:
                file.truncate(os.fstat(file.fileno()).st_size - torn)
            file.write(rows)
        self._trim()

    def read(
        self,
        since_s: float,
        until_s: float,
        step: TrendStep | None,
        figures: tuple[TrendFigure, ...],
        pending: bytes = b"",
    ) -> tuple[TrendStep, tuple[TrendRow, ...]]:
        """Return the mean of each figure for every step in which there is one.

        Parameters
        ----------
        since_s, until_s
            Seconds since the epoch.
        step
            None for the finest that gives at most `GOOD_ROWS`.
        figures
            Those wanted.
        pending
            Rows that are not on disk yet.

        Raises
        ------
        NodeError
            There are more than `MOST_ROWS`.
        """
        rows = [np.frombuffer(pending, _DTYPE)]
        for path in self._files():
            content = path.read_bytes()
            rows.append(np.frombuffer(content[: len(content) // _DTYPE.itemsize * _DTYPE.itemsize], _DTYPE))
        kept = [_within(each, since_s, until_s) for each in rows]
        found = np.concatenate(kept)
        wanted = [TREND_FIGURES.index(name) for name in figures]
        for name, seconds in STEPS.items() if step is None else [(step, STEPS[step])]:
            place = found["minute"].astype(np.int64) * MINUTE_S // seconds
            steps = np.unique(place)
            if len(steps) <= (GOOD_ROWS if step is None and name != "day" else MOST_ROWS):
                return name, _means(place, found["means"][:, wanted].astype(np.float64), steps, seconds)
        raise NodeError(
            f"from: {len(steps)} rows, one a {name}, are more than {MOST_ROWS}; ask for less time or a longer step"
        )

    def erase(self) -> int:
        """Delete all of it; return how many files. `OSError` where one cannot be deleted."""
        files = self._files()
        for path in files:
            path.unlink(missing_ok=True)
        return len(files)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{SUFFIX}"))

    def _trim(self) -> None:
        files = self._files()
        sizes = [path.stat().st_size for path in files]
        while len(files) > 1 and sum(sizes) > self._max_bytes:
            files.pop(0).unlink(missing_ok=True)
            sizes.pop(0)


def _within(rows: NDArray[np.void], since_s: float, until_s: float) -> NDArray[np.void]:
    """Return the rows between two times; a minute of 0 is what a power cut has left of one."""
    seconds = rows["minute"].astype(np.int64) * MINUTE_S
    return rows[(rows["minute"] > 0) & (seconds + MINUTE_S > since_s) & (seconds < until_s)]


def _means(
    place: NDArray[np.int64], values: NDArray[np.float64], steps: NDArray[np.int64], seconds: int
) -> tuple[TrendRow, ...]:
    index = np.searchsorted(steps, place)
    good = np.isfinite(values)
    sums, counts = np.zeros((len(steps), values.shape[1])), np.zeros((len(steps), values.shape[1]))
    np.add.at(sums, index, np.where(good, values, 0.0))
    np.add.at(counts, index, good)
    return tuple(
        (
            float(at * seconds),
            tuple(float(f"{total / n:.5g}") if n else None for total, n in zip(total_, n_, strict=True)),
        )
        for at, total_, n_ in zip(steps.tolist(), sums.tolist(), counts.tolist(), strict=True)
    )

"""Streams of the Lab Streaming Layer, with pylsl."""

from __future__ import annotations

import importlib
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_signal.errors import SourceError
from edgetune_signal.hints import install_hint
from edgetune_signal.options import OptionReader, column_number
from edgetune_signal.sources.live import LiveSource, cut_at_gaps
from edgetune_signal.stream import NS_PER_S, SourceClock, of_one_moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgetune_signal.sources.base import Source
    from edgetune_signal.sources.live import Piece
    from edgetune_signal.stream import StreamSpec

RESOLVE_S = 2.0
"""A stream that is on the network answers within this time."""
OTHERS_S = 0.5
"""Time in which others answer: of the same type, of which one has to be named, or any if the wanted one is missing."""
WAIT_S = 0.1
"""liblsl cannot be woken: so long it waits at most."""
BUFFER_S = 10
"""Signal that liblsl keeps while nobody reads."""
LOST_S = 0.1
"""Time stamps that jump by more than this are a loss; by less, a sender that was late."""
MAX_AT_ONCE_S = 1.0
ANSWERS_S = 1.0
"""A sender's clock is asked for so long; where it does not answer, samples get the time of their arrival."""
ASKED_EVERY_S = 1.0
"""How far apart the clocks are is asked so often; liblsl measures it anew every few seconds."""
SOONEST_S = 0.1
"""Stamps further ahead of this machine's clock than this, or longer ago than `BUFFER_S`, are of another clock."""
UNITS = {
    "microvolts": "uV",
    "microvolt": "uV",
    "µV": "uV",
    "millivolts": "mV",
    "volts": "V",
    "m/s^2": "m/s2",
}
"""What senders call units; any other name is taken as it is."""


class LslDevice:
    """A stream of the Lab Streaming Layer.

    Parameters
    ----------
    spec
        What it has to be.
    stream, stream_type
        Its name and its type (``EMG``); one may be None.
    columns
        Labels or numbers of its channels; empty for all.
    clock
        Where UTC comes from.

    Notes
    -----
    Stamps are of the sender's clock. liblsl measures how far that is from this machine's (``time_correction``), as NTP
    does it and again and again, so that a sample's time is when it was taken, whatever the way took.
    """

    def __init__(
        self,
        spec: StreamSpec,
        stream: str | None,
        stream_type: str | None,
        columns: tuple[str, ...],
        clock: SourceClock,
    ) -> None:
        self._spec = spec
        self._clock = clock
        self._correction_s: float | None = None
        self._asked_s = float("-inf")
        self._wanted = {key: value for key, value in (("name", stream), ("type", stream_type)) if value is not None}
        self._columns = columns
        self._inlet: Any = None
        self._chosen: list[int] = []
        self._last_s: float | None = None

    def open(self) -> None:
        """Find the stream and subscribe to it."""
        import pylsl  # an extra
        from pylsl.util import LostError, TimeoutError as LateError

        predicate = " and ".join(f"{key}='{value}'" for key, value in self._wanted.items())
        found = pylsl.resolve_bypred(predicate, 1, RESOLVE_S)
        if found and "name" not in self._wanted:
            found = pylsl.resolve_bypred(predicate, 2, OTHERS_S) or found
        if len(found) != 1:
            heard = found or pylsl.resolve_streams(OTHERS_S)
            named = ", ".join(f"{info.name()} ({info.type()}, {info.hostname()})" for info in heard) or "none"
            count = "several LSL streams have" if found else "no LSL stream has"
            raise SourceError(f"{count} {predicate}: there are {named}; is the sender on, and in this network?")
        try:
            self._inlet = pylsl.StreamInlet(found[0], max_buflen=BUFFER_S, recover=False)
            info = self._inlet.info(RESOLVE_S)
            self._chosen = self._choose(info)
            self._inlet.open_stream(RESOLVE_S)
        except (LostError, LateError) as error:
            raise SourceError(f"the LSL stream with {predicate} does not answer: {error}") from error
        self._last_s = None
        self._asked_s = float("-inf")
        try:
            self._correction_s = self._inlet.time_correction(ANSWERS_S)
        except (LostError, LateError):  # its clock is asked over UDP, which a firewall may keep out
            self._correction_s = None

    def receive(self, timeout_s: float) -> list[Piece]:
        """Return what has come."""
        from pylsl.util import LostError

        if self._inlet is None:
            raise SourceError("the stream is not open")
        most = max(1, round(MAX_AT_ONCE_S * self._spec.rate_hz))
        try:
            values, times_s = self._inlet.pull_chunk(min(timeout_s, WAIT_S), most, min_samples=1, as_numpy=True)
        except LostError as error:
            raise SourceError("the LSL stream ended: is its sender still on?") from error
        if len(times_s) == 0:
            return []
        steps = np.diff(times_s, prepend=times_s[0] if self._last_s is None else self._last_s)
        self._last_s = float(times_s[-1])
        samples = np.ascontiguousarray(values.T[self._chosen], dtype=np.float32)
        pieces = cut_at_gaps(samples, np.flatnonzero(steps > LOST_S + 1 / self._spec.rate_hz).tolist())
        starts = np.cumsum([0, *(piece.samples.shape[1] for piece in pieces[:-1])])
        return [
            replace(piece, time_ns=self._taken_ns(float(times_s[start])))
            for piece, start in zip(pieces, starts, strict=True)
        ]

    def _taken_ns(self, stamp_s: float) -> int | None:
        """UTC of a stamp; None where the sender's clock is not known."""
        import pylsl  # an extra
        from pylsl.util import LostError, TimeoutError as LateError

        now_s = pylsl.local_clock()
        if self._correction_s is not None and now_s - self._asked_s >= ASKED_EVERY_S:
            self._asked_s = now_s
            with suppress(LostError, LateError):
                self._correction_s = self._inlet.time_correction(ANSWERS_S)
        if self._correction_s is None:
            return None
        now_s, utc_ns = of_one_moment(pylsl.local_clock, self._clock.utc_ns)
        ago_s = now_s - stamp_s - self._correction_s
        return utc_ns - round(ago_s * NS_PER_S) if -SOONEST_S <= ago_s <= BUFFER_S else None

    def wake(self) -> None:
        """Do nothing: `receive` returns after a tenth of a second anyway."""

    def close(self) -> None:
        """Leave the stream."""
        inlet, self._inlet = self._inlet, None
        if inlet is not None:
            inlet.close_stream()

    def _choose(self, info: Any) -> list[int]:
        spec, name = self._spec, f"the LSL stream {info.name()}"
        count, rate_hz = info.channel_count(), info.nominal_srate()
        if info.channel_format() == 3:  # noqa: PLR2004 - cf_string
            raise SourceError(f"{name} is of texts, not of numbers: choose another by stream or stream_type")
        if rate_hz != spec.rate_hz:
            told = f"{rate_hz:g} Hz" if rate_hz else "no constant rate"
            raise SourceError(
                f"{name} has {told} where the asset has {spec.rate_hz:g} Hz: set rate_hz, or sensor_rate_hz of "
                "the source"
            )
        labels = [str(label) for label in info.get_channel_labels() or []]
        try:
            chosen = [column_number(column, labels, count) for column in self._columns] or list(range(count))
        except ValueError as error:
            raise SourceError(f"{name}: {error}") from None
        if len(chosen) != spec.channels:
            raise SourceError(
                f"{name} has {count} channels ({', '.join(labels) or 'without labels'}) where the asset has "
                f"{spec.channels}: set columns of the source to those wanted"
            )
        units = [UNITS.get(unit or "", unit or "") for unit in info.get_channel_units() or [""] * count]
        foreign = {units[number] for number in chosen} - {"", spec.unit}
        if foreign:
            raise SourceError(
                f"{name} is in {', '.join(sorted(foreign))} where the asset has {spec.unit}: set unit, or "
                "sensor_unit of the source"
            )
        return chosen


def open_lsl(spec: StreamSpec, options: Mapping[str, object]) -> Source:
    """Subscribe to a stream of the Lab Streaming Layer.

    Parameters
    ----------
    spec
        What it is; its rate and, where it says one, its unit have to be these.
    options
        ``stream`` (name) or ``stream_type`` (``EMG``), or both; ``columns`` (labels or numbers of channels, by default
        all).

    Raises
    ------
    SourceOptionsError
        Options are wrong; every problem is named.
    SourceError
        pylsl or its library liblsl is not installed.
    """
    reader = OptionReader("lsl", options)
    stream, stream_type = reader.text("stream", None), reader.text("stream_type", None)
    columns = reader.texts("columns", ())
    if not reader.given("stream") and not reader.given("stream_type"):
        reader.problem("stream", "is missing: give the stream's name, or its stream_type")
    for name, value in (("stream", stream), ("stream_type", stream_type)):
        if value is not None and "'" in value:
            reader.problem(name, f"must be without ', not {value!r}")
    if columns and len(columns) != spec.channels:
        reader.problem("columns", f"must name {spec.channels} channels")
    reader.finish()
    try:
        importlib.import_module("pylsl")
    except ImportError as error:
        raise SourceError(f"source lsl needs pylsl: {install_hint('lsl')}") from error
    except (RuntimeError, OSError) as error:  # its wheels hold liblsl for some machines only
        raise SourceError(
            "source lsl needs the library liblsl, which pylsl did not find: install it (github.com/sccn/liblsl), "
            "or set PYLSL_LIB to its path"
        ) from error
    return LiveSource(
        LslDevice(spec, stream, stream_type, columns, SourceClock()), spec, f"lsl {stream or stream_type}"
    )

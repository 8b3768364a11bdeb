"""Reads files of measuring programs by the libraries that are kept for them: TDMS, UFF, Parquet, EDF, XDF, NumPy."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgetune_signal.errors import RecordingError
from edgetune_signal.files import times
from edgetune_signal.files.extras import needed
from edgetune_signal.files.signal_file import (
    ColumnUse,
    ReadOptions,
    SignalInfo,
    WholeFile,
    agreed_rate,
    agreed_unit,
    as_samples,
    chosen,
    label_index,
)
from edgetune_signal.files.tree import Leaf, find_signal, words_of_labels
from edgetune_signal.files.units_written import known_unit
from edgetune_signal.recordings import open_npz

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MAX_BYTES: Final = 1 << 31
SECOND_NS: Final = 10**9
_XDF_DAMAGE: Final = ("rror reading chunk", "orrupt", "zero-length", "Unexpected", "nvalid")
"""Words with which pyxdf logs what is wrong in a file."""


def open_npy(path: Path, options: ReadOptions) -> WholeFile:
    """Open a ``.npy``: one array, ``(n,)``, ``(channels, n)`` or ``(n, channels)``."""
    try:
        value = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # numpy raises anything on a malformed header
        why = str(error) or type(error).__name__
        raise RecordingError(f"{path}: cannot be read as a .npy array of numbers: {why}; write it anew") from error
    return find_signal(path, [Leaf(path.stem, np.asarray(value))], options)


def open_npz_of_others(path: Path, options: ReadOptions) -> WholeFile:
    """Open an ``.npz`` that is no recording of ours: named arrays."""
    leaves = []
    with open_npz(path) as npz:
        for name in npz.names:
            value = npz.array(name)
            if value.dtype.kind in "iufU":
                leaves.append(Leaf(name, value))
    return find_signal(path, leaves, options)


def open_tdms(path: Path, options: ReadOptions) -> WholeFile:
    """Open a TDMS file of LabVIEW; ``variable`` names a group where there are several."""
    nptdms = needed(path, "nptdms")
    try:
        with _complaints("nptdms") as complaints, path.open("rb") as stream, nptdms.TdmsFile.open(stream) as file:
            groups = [group for group in file.groups() if any(len(channel) for channel in group.channels())]
            group = _one(path, "group", {group.name: group for group in groups}, options.variable)
            channels = [
                channel for channel in group.channels() if np.dtype(channel.dtype).kind in "iuf" and len(channel)
            ]
            _bounded(path, sum(len(channel) * np.dtype(channel.dtype).itemsize for channel in channels))
            names = [channel.name for channel in channels]
            values = [np.asarray(channel[:]) for channel in channels]
            first = channels[0].properties if channels else {}
            started = first.get("wf_start_time")
            step = float(first.get("wf_increment") or 0.0)
            units = [
                str(channel.properties.get("unit_string") or channel.properties.get("NI_UnitDescription") or "")
                for channel in channels
            ]
    except RecordingError:
        raise
    except Exception as error:  # nptdms raises anything on a malformed file
        raise RecordingError(f"{path}: cannot be read as a TDMS file: {error}") from error
    if complaints:
        raise RecordingError(f"{path}: is damaged ({complaints[0][:80]}): copy it again")
    time_ns = int(started.astype("datetime64[ns]").astype(np.int64)) if isinstance(started, np.datetime64) else 0
    return _columns(path, options, names, values, units, rate_hz=1.0 / step if step > 0 else None, time_ns=time_ns)


@contextmanager
def _complaints(name: str) -> Iterator[list[str]]:
    """Collect what a library logs of a file, in place of its own handlers."""
    said: list[str] = []
    collector = logging.Handler(logging.WARNING)
    collector.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    known = [each for each in logging.root.manager.loggerDict if each == name or each.startswith(f"{name}.")]
    loggers = [logging.getLogger(each) for each in known]
    before = [(logger, logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [collector], False
    try:
        yield said
    finally:
        for logger, handlers, propagates in before:
            logger.handlers, logger.propagate = handlers, propagates


def open_uff(path: Path, options: ReadOptions) -> WholeFile:
    """Open a universal file; data sets 58 of one length are channels, ASCII or binary."""
    pyuff = needed(path, "pyuff")
    try:
        file = pyuff.UFF(str(path))
        kinds = list(file.get_set_types())
        sets = [file.read_sets(index) for index, kind in enumerate(kinds) if int(kind) == 58]  # noqa: PLR2004 - functions
    except Exception as error:  # pyuff raises anything on a malformed file
        raise RecordingError(f"{path}: cannot be read as a universal file (UFF 58): {error}") from error
    sets = [
        each for each in sets if np.isrealobj(each["data"]) and each.get("abscissa_spec_data_type") in {17, 0, None}
    ]
    if not sets:
        raise RecordingError(f"{path}: holds no data set 58 with a signal in time")
    values = [np.asarray(each["data"], dtype=np.float64) for each in sets]
    names = [_uff_name(each, number) for number, each in enumerate(sets)]
    step = float(sets[0].get("abscissa_inc") or 0.0)
    if step <= 0 and len(np.ravel(sets[0].get("x", []))) > 1:
        step = float(np.median(np.diff(np.ravel(sets[0]["x"]))))
    units = [_uff_unit(each) for each in sets]
    return _columns(path, options, names, values, units, rate_hz=1.0 / step if step > 0 else None)


def open_table(path: Path, options: ReadOptions) -> WholeFile:
    """Open a Parquet or Feather table: columns of numbers are channels, one of times gives the rate."""
    module = "pyarrow.parquet" if path.suffix.lower() == ".parquet" else "pyarrow.feather"
    arrow = needed(path, module)
    try:
        if module == "pyarrow.parquet":
            _bounded(path, arrow.read_metadata(path).num_rows * 8 * arrow.read_metadata(path).num_columns)
        table = arrow.read_table(path)
    except RecordingError:
        raise
    except Exception as error:  # pyarrow raises anything on a malformed file
        raise RecordingError(f"{path}: cannot be read as a table: {error}") from error
    names, values = [], []
    texts: dict[str, list[str]] = {}
    for name in table.column_names:
        column = table.column(name).to_numpy()
        if column.dtype.kind == "M":
            column = column.astype("datetime64[ns]").astype(np.int64)
        if column.dtype.kind in "iuf":
            names.append(str(name))
            values.append(column)
        elif column.dtype.kind in "OU":
            texts[str(name)] = ["" if word is None else str(word) for word in column]
    labels = None
    if options.label_column is not None:
        every = (*texts, *names)
        name = every[label_index(path, options.label_column, every, list(range(len(texts))))]
        labels = texts.get(name) or words_of_labels(values[names.index(name)])
        if name in names:
            del values[names.index(name)]
            names.remove(name)
    return replace(_columns(path, options, names, values, [""] * len(names)), labels=labels)


def open_edf(path: Path, options: ReadOptions) -> WholeFile:
    """Open an EDF or BDF file; signals of one rate are channels."""
    edfio = needed(path, "edfio")
    try:
        file = edfio.read_bdf(path) if path.suffix.lower() == ".bdf" else edfio.read_edf(path)
        signals = list(file.signals)
        _bounded(path, sum(8 * signal.samples_per_data_record * file.num_data_records for signal in signals))
        if options.columns:
            wanted = chosen(path, options.columns, tuple(signal.label for signal in signals))
            signals = [signals[index] for index in wanted]
        rates = {float(signal.sampling_frequency) for signal in signals}
        values = [np.asarray(signal.data) for signal in signals]
        names = [signal.label for signal in signals]
        units = [signal.physical_dimension for signal in signals]
    except RecordingError:
        raise
    except Exception as error:  # edfio raises anything on a malformed file
        raise RecordingError(f"{path}: cannot be read as EDF or BDF: {error}") from error
    if len(rates) > 1:
        listed = ", ".join(f"{signal.label} {signal.sampling_frequency:g} Hz" for signal in signals)
        raise RecordingError(f"{path}: has signals of several rates ({listed}): name columns of one rate")
    asked = ReadOptions(rate_hz=options.rate_hz, unit=options.unit)
    return _columns(path, asked, names, values, units, rate_hz=rates.pop() if rates else None)


def open_xdf(path: Path, options: ReadOptions) -> WholeFile:
    """Open an XDF file of the Lab Streaming Layer; ``variable`` names a stream where there are several."""
    pyxdf = needed(path, "pyxdf")
    try:
        with _complaints("pyxdf") as said:
            streams, _ = pyxdf.load_xdf(str(path), verbose=False)
    except Exception as error:  # pyxdf raises anything on a malformed file
        raise RecordingError(f"{path}: cannot be read as XDF: {error}") from error
    if any(word in text for text in said for word in _XDF_DAMAGE):  # it goes on behind the damage, and tells no gap
        raise RecordingError(f"{path}: is damaged: {said[0]}: use another copy, or cut it before the damage")
    numbers = {
        str(stream["info"]["name"][0]): stream
        for stream in streams
        if np.asarray(stream["time_series"]).dtype.kind in "iuf"
    }
    stream = _one(path, "stream", numbers, options.variable)
    series = np.asarray(stream["time_series"])
    nominal = float(stream["info"]["nominal_srate"][0])
    channels = _xdf_channels(stream)
    names = [label for label, _ in channels] or [str(number + 1) for number in range(series.shape[1])]
    units = [unit for _, unit in channels] or [""] * series.shape[1]
    return _columns(path, options, names, list(series.T), units, rate_hz=nominal if nominal > 0 else None)


def _xdf_channels(stream: Any) -> list[tuple[str, str]]:
    try:
        described = stream["info"]["desc"][0]["channels"][0]["channel"]
        return [(str(each["label"][0]), str((each.get("unit") or [""])[0])) for each in described]
    except (KeyError, IndexError, TypeError):
        return []


def _uff_name(found: dict[str, Any], number: int) -> str:
    name = str(found.get("id1") or "").strip()
    return name if name and name.casefold() != "none" else str(number + 1)


def _uff_unit(found: dict[str, Any]) -> str:
    written = str(found.get("ordinate_axis_units_lab") or "").strip()
    return written if written.casefold() not in {"none", ""} else ""


def _bounded(path: Path, size: int) -> None:
    if size > MAX_BYTES:
        raise RecordingError(f"{path}: holds more than {MAX_BYTES} bytes of numbers: cut it")


def _one(path: Path, what: str, found: dict[str, Any], wanted: str | None) -> Any:
    """Return the one thing that is there, or the one that was asked for."""
    if wanted is not None and wanted in found:
        return found[wanted]
    if wanted is None and len(found) == 1:
        return next(iter(found.values()))
    there = ", ".join(found) or "nothing with numbers"
    said = (
        f"has no {what} {wanted!r}"
        if wanted is not None
        else f"has several of that kind ({what})"
        if found
        else "is empty"
    )
    raise RecordingError(f"{path}: {said}: choose one (variable) of {there}")


def _columns(
    path: Path,
    options: ReadOptions,
    names: Sequence[str],
    values: Sequence[NDArray[Any]],
    units: Sequence[str],
    *,
    rate_hz: float | None = None,
    time_ns: int = 0,
) -> WholeFile:
    """Return columns of one length as channels; one of times gives the rate, if the file does not say it."""
    if not values:
        raise RecordingError(f"{path}: holds no column of numbers")
    lengths = {len(column) for column in values}
    if len(lengths) > 1:
        listed = ", ".join(f"{name} {len(column)}" for name, column in zip(names, values, strict=True))
        raise RecordingError(f"{path}: has channels of several lengths ({listed}): name columns of one length")
    clocks = {index: told for index, name in enumerate(names) if (told := _time_of(name, values[index])) is not None}
    timed = next(iter(clocks), None)
    uses = [
        ColumnUse(name, "time" if index == timed else "unused" if index in clocks else "channel")
        for index, name in enumerate(names)
    ]
    picked = (
        chosen(path, options.columns, tuple(names))
        if options.columns
        else [i for i in range(len(names)) if i not in clocks]
    )
    if not picked:
        raise RecordingError(f"{path}: holds no column of samples, only times")
    found = rate_hz
    jitter_s = None
    if timed is not None:
        clock, started_ns = clocks[timed]
        found, jitter_s, time_ns = found or clock.rate_hz, clock.jitter_s, time_ns or started_ns
    unit = {known_unit(units[index]) for index in picked}
    info = SignalInfo(
        names=tuple(names[index] for index in picked),
        rate_hz=agreed_rate(path, found, options.rate_hz),
        rate_from="file" if rate_hz else "time column" if found else "option" if options.rate_hz else "",
        unit=agreed_unit(path, unit.pop() if len(unit) == 1 else "", options.unit),
        time_ns=time_ns,
        jitter_s=jitter_s,
        columns=tuple(uses),
    )
    return WholeFile(info, as_samples(np.stack([values[index] for index in picked])))


def _time_of(name: str, values: NDArray[Any]) -> tuple[times.RowClock, int] | None:
    """Return what a column of times says, and UTC of its first row; None where it is none."""
    bare = name.casefold().strip()
    if not bare.startswith(("time", "timestamp", "date", "zeit")) and bare not in {"t", "ts"}:
        return None
    numbers = values.astype(np.float64)
    if not len(numbers) or not np.isfinite(numbers).all():
        return None
    scale, epoch = times.numeric_scale(numbers, None)
    seconds = (values - values[0]).astype(np.float64) * scale
    clock = times.clock_of(seconds, max(scale if values.dtype.kind in "iu" else 0.0, 1e-9))
    return None if clock is None else (clock, round(float(numbers[0]) * scale * SECOND_NS) if epoch else 0)

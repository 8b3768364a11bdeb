"""Opens a source of samples by its kind."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, cast

from edgetune_signal.errors import SourceError, SourceOptionsError
from edgetune_signal.hints import did_you_mean
from edgetune_signal.options import OptionReader
from edgetune_signal.sources.conversion import CONVERSION_OPTIONS, ConvertedSource, read_conversion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgetune_signal.sources.base import Source
    from edgetune_signal.stream import StreamSpec

    SourceFactory = Callable[[StreamSpec, Mapping[str, object]], Source]

ENTRY_POINT_GROUP = "edgetune.sources"


def source_kinds() -> tuple[str, ...]:
    """Return the kinds of sources installed, sorted: the names of the entry-point group ``edgetune.sources``."""
    return tuple(sorted({point.name for point in entry_points(group=ENTRY_POINT_GROUP)}))


def open_source(kind: str, spec: StreamSpec, options: Mapping[str, object]) -> Source:
    """Open a source by its kind.

    Parameters
    ----------
    kind
        Name in the entry-point group ``edgetune.sources``: one of `source_kinds`.
    spec
        What the source has to deliver.
    options
        The kind's own options, which ``docs/reference/sources.md`` lists for the built-in kinds; and for any kind
        ``sensor_rate_hz``, ``sensor_unit``, ``sensitivity`` and ``zero``, where the sensor gives another rate or unit.

    Raises
    ------
    SourceOptionsError
        The kind is unknown, or options are wrong; ``problems`` names every one.
    SourceError
        The plug-in cannot be loaded, or the source cannot be opened.
    """
    points = [point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name == kind]
    if not points:
        near = did_you_mean(kind, source_kinds())
        raise SourceOptionsError(kind, [f"kind must be one of {', '.join(source_kinds())}, not {kind!r}{near}"])
    try:
        factory = cast("SourceFactory", points[0].load())
    except (ImportError, AttributeError) as error:
        raise SourceError(f"the plug-in of source {kind!r} ({points[0].value}) cannot be loaded: {error}") from error
    conversion_options = {name: options[name] for name in CONVERSION_OPTIONS if name in options}
    if not conversion_options:
        return factory(spec, options)
    reader = OptionReader(kind, conversion_options)
    conversion = read_conversion(reader, spec)
    own = {name: value for name, value in options.items() if name not in CONVERSION_OPTIONS}
    try:
        source = factory(conversion.sensor if conversion else spec, own)
    except SourceOptionsError as error:
        raise SourceOptionsError(kind, [*reader.problems, *error.problems]) from None
    except SourceError as error:
        if conversion is None:
            raise SourceOptionsError(kind, reader.problems) from error
        raise
    if conversion is None:
        source.close()
        raise SourceOptionsError(kind, reader.problems)
    return ConvertedSource(source, spec, conversion)

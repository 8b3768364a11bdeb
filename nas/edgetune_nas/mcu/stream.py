"""The part of the C source that takes one sample at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetune_nas.mcu.calls import at_end, byte, on_frame, word
from edgetune_nas.mcu.operations import Correlated, Pooled, Weighted
from edgetune_nas.model import Conv, sums_first

if TYPE_CHECKING:
    from edgetune_nas.mcu.library_model import Model


@dataclass(frozen=True, slots=True)
class Stream:
    """What happens as samples arrive.

    Attributes
    ----------
    operations
        How many operations are done, or begun, before the window is full.
    frames
        Whether the first one is given one frame's samples at a time.
    end
        Statements that finish running sums.
    text
        The functions that take samples.
    """

    operations: int
    frames: bool
    end: tuple[str, ...]
    text: str


def stream(model: Model) -> Stream:
    """Write ``init`` and ``push`` for the way in which the arena holds what is needed of the samples."""
    first, place = model.program.operations[0], model.layout.places[0]
    channels, _ = model.program.input_shape
    if model.layout.way == "window":
        feed = f"(void)memcpy(&{byte(place.x)}[at * {channels}U], sample, {channels}U);"
        return Stream(0, frames=False, end=(), text=_functions(model, [feed], 0))
    if isinstance(first, Correlated):
        feed, *_ = on_frame(0, first, place, "sample", "at")
        ends = at_end(0, first, place, model.sizes()[0][1])
        return Stream(1, frames=False, end=tuple(ends), text=_functions(model, [feed], 0))
    if model.hop is None and isinstance(first, Pooled) and sums_first(first.layer, channels):
        feed = f"edgetune_pool_push(&layer0, sample, at, {word(place.x)}, {byte(place.y)});"
        return Stream(1, frames=False, end=(), text=_functions(model, [feed], 0))
    return _framed(model)


def _framed(model: Model) -> Stream:
    """Hold a kernel's samples; when they are there, compute a frame and move on by a stride."""
    operations, places, sizes = model.program.operations, model.layout.places, model.sizes()
    layer = operations[0].layer
    channels = model.program.input_shape[0]
    kernel, stride = int(getattr(layer, "kernel", 1)), int(getattr(layer, "stride", 1))
    padding = layer.padding if isinstance(layer, Conv) else 0
    sums = model.layout.way == "sums"
    held, y = byte(places[0].x), byte(places[0].y)
    target = y if sums else f"&{y}[frame * {sizes[0][1][0]}U]"
    call = "edgetune_max_pool"
    if isinstance(operations[0], Weighted | Pooled):
        call = "edgetune_conv" if isinstance(operations[0], Weighted) else "edgetune_pool"
    done = [f"{call}(&layer0, {held}, {target});"]
    ends: list[str] = []
    if sums:
        done += on_frame(1, operations[1], places[1], y, "frame")
        ends = at_end(1, operations[1], places[1], sizes[1][1])
    if stride < kernel:
        done.append(f"edgetune_move_down({held}, &{held}[{stride * channels}U], {(kernel - stride) * channels}U);")
    inner = "".join(f"    {each}\n" for each in done)
    unused = "" if "frame" in inner else "    (void)frame;\n"
    feed = f"""/* Compute frame number `frame` of the window from the samples that are held. */
EDGETUNE_APART static void compute(uint32_t frame)
{{
{unused}{inner}}}

/* Take sample number `fed` of the window and what it is padded with. */
static void feed(uint32_t fed, const int8_t *sample)
{{
{_filled(kernel, stride, channels, held)}}}

"""
    call = f"feed(at + {padding}U, sample);" if padding else "feed(at, sample);"
    text = feed + _functions(model, [call], padding)
    return Stream(2 if sums else 1, frames=True, end=tuple(ends), text=text)


def _filled(kernel: int, stride: int, channels: int, held: str) -> str:
    """Write what puts a sample behind those that are held; where frames are apart, samples between them are left."""
    frame = f"compute((fed + 1U - {kernel}U) / {stride}U);"
    if stride > kernel:
        return f"""    const uint32_t behind = fed % {stride}U;
    if (behind < {kernel}U) {{
        (void)memcpy(&{held}[behind * {channels}U], sample, {channels}U);
        if (behind == {kernel - 1}U) {{
            {frame}
        }}
    }}
"""
    later = f"(fed - {kernel}U) % {stride}U + {kernel - stride}U"
    return f"""    const uint32_t behind = (fed < {kernel}U) ? fed : ({later});
    (void)memcpy(&{held}[behind * {channels}U], sample, {channels}U);
    if (behind == {kernel - 1}U) {{
        {frame}
    }}
"""


def _next(model: Model) -> str:
    """Write what begins the next window, which keeps what it has in common with this one."""
    if model.hop is None:
        return "        at = 0U;\n"
    channels, length = model.program.input_shape
    place = model.layout.places[0]
    at, size, kept = byte(place.x), model.hop * channels, (length - model.hop) * channels
    if model.layout.way == "held":
        filters, frames = model.sizes()[0][1]
        gone = model.hop // int(getattr(model.program.layers[0], "stride", 1))
        at, size, kept = byte(place.y), gone * filters, (frames - gone) * filters
    moved = f"        (void)memmove({at}, &{at}[{size}U], {kept}U);\n" if kept else ""
    return f"{moved}        at = {length - model.hop}U;\n"


def _functions(model: Model, feed: list[str], padding: int) -> str:
    name, (channels, length), zero = model.name, model.program.input_shape, model.window.zero
    before = after = ""
    if padding:
        before = f"""    if (at == 0U) {{
        (void)memset({byte(model.layout.places[0].x)}, {zero}, {padding * channels}U);
    }}
"""
        after = f"""    int8_t silence[{channels}];
    uint32_t fed;
    (void)memset(silence, {zero}, sizeof silence);
    for (fed = {length + padding}U; fed < {length + 2 * padding}U; fed++) {{
        feed(fed, silence);
    }}
"""
    inner = "".join(f"    {each}\n" for each in feed)
    apart = model.layout.position is None
    where = "&position" if apart else byte(model.layout.position or 0)
    variable = "static uint16_t position; /* samples of the window so far */\n\n" if apart else ""
    return f"""{variable}/* Answer when the window is full. */
EDGETUNE_APART static int32_t full(void)
{{
{after}    return judge();
}}

void {name}_init(void)
{{
    (void)memset({name}_arena, 0, sizeof {name}_arena);
    (void)memset({where}, 0, sizeof(uint16_t));
}}

int32_t {name}_push(const int8_t *sample)
{{
    uint16_t at; /* samples of the window so far */
    int32_t answer = -1;
    (void)memcpy(&at, {where}, sizeof at);
{before}{inner}    at++;
    if (at == {length}U) {{
        answer = full();
{_next(model)}    }}
    (void)memcpy({where}, &at, sizeof at);
    return answer;
}}
"""

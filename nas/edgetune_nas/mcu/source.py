"""The C source and header of one model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetune_nas.mcu.calls import byte, on_tensor
from edgetune_nas.mcu.stream import stream
from edgetune_nas.mcu.tables import array, describe_frame, describe_operation, number
from edgetune_nas.model import ClassMax, Norm

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgetune_nas.mcu.library_model import Model


def header(model: Model, *, streaming: bool) -> str:
    """Write ``<name>.h``."""
    card, upper, name = model.card, model.name.upper(), model.name
    health = card.kind == "health"
    channels, length = model.program.input_shape
    gives = model.program.output[1]
    run = (
        f"/* Take one sample of every channel. Returns {_answer(health=health)} when a window is full, else -1.\n"
        f" * {_overlap(model)} */\n"
        f"int32_t {name}_push(const int8_t *sample);"
        if streaming
        else f"/* Classify a window, sample by sample, the channels of a sample together; it may be {name}_window().\n"
        f" * Returns {_answer(health=health)}. */\n"
        f"int32_t {name}_run(const int8_t *window);\n\n"
        "/* The window's place in the arena, to be filled in place. Running it overwrites it. */\n"
        f"int8_t *{name}_window(void);"
    )
    raw = (
        f"\n/* Round a sample of the sensor's integers, of {model.raw_step:g} {card.input.unit} a step. */\n"
        f"int8_t {name}_raw(int32_t sample);\n"
        if model.raw_step is not None
        else ""
    )
    distance = (
        f"""
/* Distance from health of the last window; unlike health beyond {upper}_LIMIT. */
float {name}_distance(void);
"""
        if health
        else ""
    )
    limit = f"#define {upper}_LIMIT {number(card.distance_limit or 0.0)}\n" if health else ""
    return f"""/* Model {card.id}, written by edgetune; see README.md. */
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

#define {upper}_CHANNELS {channels}U
#define {upper}_LENGTH {length}U /* samples of each channel in a window */
#define {upper}_RATE_HZ {number(card.input.rate_hz)}
#define {upper}_CLASSES {len(card.classes)}U
#define {upper}_ROWS {model.rows}U /* values of the output */
#define {upper}_ARENA_BYTES {model.layout.bytes}U
{limit}
/* Value of an output{"" if health else ", a score"}: OUTPUT_SCALE * (output - OUTPUT_ZERO); so of a sample. */
#define {upper}_OUTPUT_SCALE {number(gives.scale)}
#define {upper}_OUTPUT_ZERO ({gives.zero})
#define {upper}_SAMPLE_SCALE {number(model.window.scale)}
#define {upper}_SAMPLE_ZERO ({model.window.zero})

#ifdef __cplusplus
extern "C" {{
#endif

extern const char *const {name}_classes[{upper}_CLASSES];

/* Begin with an empty window. */
void {name}_init(void);

/* Round a sample in {card.input.unit or "the unit of the data"}. */
int8_t {name}_sample(float value);
{raw}
{run}

/* Output of the last window: {upper}_ROWS values, until the next one is begun. */
const int8_t *{name}_output(void);
{distance}
/* Count the stored windows whose output is not the stored one: 0 on a processor that computes as it should. */
uint32_t {name}_selftest(void);

#ifdef __cplusplus
}}
#endif

#endif
"""


def _overlap(model: Model) -> str:
    if model.hop is None:
        return "The next sample then begins the next window."
    return f"The first window is full after {model.program.input_shape[1]} samples, the next ones every {model.hop}."


def _answer(*, health: bool) -> str:
    return "1 where it is unlike health, else 0," if health else "the index of the class"


def source(model: Model, *, streaming: bool) -> str:
    """Write ``<name>.c``."""
    card, name = model.card, model.name
    first = stream(model) if streaming else None
    tables, whole = [], []
    operations = list(zip(model.program.operations, model.layout.places, model.sizes(), strict=True))
    skipped = 0 if first is None else first.operations
    for index, (operation, place, (before, after)) in enumerate(operations):
        if first is not None and index == 0 and first.frames:
            tables.append(describe_frame(index, operation, before[0]).tables)
        else:
            tables.append(describe_operation(index, operation, before).tables)
        if index >= skipped:
            whole += on_tensor(index, operation, place, after)
    ends = [] if first is None else first.end
    quoted = ", ".join(_quoted(each) for each in card.classes)
    upper = name.upper()
    return f"""/* Model {card.id}, written by edgetune; see README.md. */
#include "{name}.h"

#include <string.h>

#include "edgetune_kernels.h"

#if EDGETUNE_KERNELS != 1
#error "these kernels are not those that the model was written for"
#endif

const char *const {name}_classes[{upper}_CLASSES] = {{{quoted}}};

{"".join(tables)}
static edgetune_word_t {name}_arena[{model.layout.bytes // 4}];
#define SUMS(offset) (&{name}_arena[(offset) / 4U])

static int8_t *tensor(uint32_t offset)
{{
    return &((int8_t *){name}_arena)[offset];
}}

{_ending(model, [*ends, *whole])}
{_window(model) if first is None else first.text}
int8_t {name}_sample(float value)
{{
    return edgetune_quantise(value, {upper}_SAMPLE_SCALE, {upper}_SAMPLE_ZERO);
}}
{_raw(model)}
const int8_t *{name}_output(void)
{{
    return {byte(_output(model))};
}}
"""


def _quoted(text: str) -> str:
    """Return a C string; what is not plain ASCII stands as octal bytes of UTF-8."""
    plain = "".join(
        chr(each) if 32 <= each < 127 and chr(each) not in '"\\?' else f"\\{each:03o}"  # noqa: PLR2004 - printable ASCII
        for each in text.encode()
    )
    return f'"{plain}"'


def _output(model: Model) -> int:
    """Return the offset of the last int8 tensor."""
    return model.layout.places[-1].x


def _ending(model: Model, statements: Sequence[str]) -> str:
    """Write what runs when a window is there, and what it is."""
    name, upper = model.name, model.name.upper()
    body = "".join(f"    {each}\n" for each in statements)
    if isinstance(model.program.layers[-1], Norm):
        gives = model.program.output[1]
        return f"""float {name}_distance(void)
{{
    return edgetune_length({byte(_output(model))}, {upper}_ROWS, {number(gives.scale)}, {gives.zero});
}}

static int32_t judge(void)
{{
{body}    return ({name}_distance() > {upper}_LIMIT) ? 1 : 0;
}}
"""
    rows = model.card.rows
    behind_max = any(isinstance(layer, ClassMax) for layer in model.program.layers)
    table = "" if rows is None or behind_max else array("uint8_t", "class_of", (f"{each}U" for each in rows))
    best = f"edgetune_largest({byte(_output(model))}, {upper}_ROWS)"
    return f"""{table}static int32_t judge(void)
{{
{body}    return (int32_t){f"class_of[{best}]" if table else best};
}}
"""


def _window(model: Model) -> str:
    name, at = model.name, byte(model.layout.places[0].x)
    return f"""void {name}_init(void)
{{
    (void)memset({name}_arena, 0, sizeof {name}_arena);
}}

int8_t *{name}_window(void)
{{
    return {at};
}}

int32_t {name}_run(const int8_t *window)
{{
    if (window != {at}) {{
        (void)memcpy({at}, window, {model.program.input_shape[0] * model.program.input_shape[1]}U);
    }}
    return judge();
}}
"""


def _raw(model: Model) -> str:
    if model.raw_step is None:
        return ""
    return f"""
int8_t {model.name}_raw(int32_t sample)
{{
    return {model.name}_sample((float)sample * {number(model.raw_step)});
}}
"""


def selftest(model: Model, windows: NDArray[np.int8], expected: NDArray[np.int8], *, streaming: bool) -> str:
    """Write ``<name>_selftest.c``: int8 windows ``(windows, length, channels)``, outputs ``(windows, rows)``."""
    name, upper = model.name, model.name.upper()
    count = len(windows)
    run = (
        f"""        uint32_t at;
        {name}_init();
        for (at = 0U; at < {upper}_LENGTH; at++) {{
            (void){name}_push(&windows[window * {upper}_LENGTH * {upper}_CHANNELS + at * {upper}_CHANNELS]);
        }}
"""
        if streaming
        else f"        (void){name}_run(&windows[window * {upper}_LENGTH * {upper}_CHANNELS]);\n"
    )
    return f"""/* Windows of model {model.card.id} and what onnxruntime gives for them, written by edgetune. */
#include <string.h>

#include "{name}.h"

{array("int8_t", "windows", (str(each) for each in windows.reshape(-1)))}
{array("int8_t", "outputs", (str(each) for each in expected.reshape(-1)))}
uint32_t {name}_selftest(void)
{{
    uint32_t wrong = 0U;
    uint32_t window;
    for (window = 0U; window < {count}U; window++) {{
{run}        if (memcmp({name}_output(), &outputs[window * {upper}_ROWS], {upper}_ROWS) != 0) {{
            wrong++;
        }}
    }}
    return wrong;
}}
"""

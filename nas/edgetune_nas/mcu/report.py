"""What was measured of a library, as an object of JSON and as its README."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgetune_nas.model import describe

if TYPE_CHECKING:
    from edgetune_nas.mcu.cores import Figures
    from edgetune_nas.mcu.library_model import Model
    from edgetune_nas.mcu.reference import Answers

GRAM_STEPS = 2
"""Steps by which outputs behind a Gram layer of float sums may differ: these have an order of onnxruntime's own."""
DISTANCE_SHARE = 1e-5
"""Share by which a distance may differ: its sum of squares is of floats, in an order of onnxruntime's own."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far answers lie from onnxruntime's.

    Attributes
    ----------
    windows
        Number of windows compared.
    outputs, answers
        Number of windows whose output, or class, is another one.
    steps
        Largest difference of an output, in steps of int8.
    distance
        Largest relative difference of a distance.
    """

    windows: int
    outputs: int
    answers: int
    steps: int
    distance: float

    @classmethod
    def of(cls, found: Answers, wanted: Answers) -> Difference:
        """Compare answers; of fewer windows than wanted, the first ones."""
        count = len(found.answer)
        apart = np.abs(found.output.astype(np.int64) - wanted.output[:count])
        distance = np.abs(found.distance - wanted.distance[:count]) / np.maximum(wanted.distance[:count], 1e-9)
        return cls(
            count,
            int(apart.any(axis=1).sum()),
            int((found.answer != wanted.answer[:count]).sum()),
            int(apart.max(initial=0)),
            float(distance.max(initial=0.0)),
        )

    @property
    def equal(self) -> bool:
        """Every output is equal bit by bit, and so is every answer."""
        return not self.outputs and not self.answers and self.distance <= DISTANCE_SHARE

    def acceptable(self, *, gram: bool) -> bool:
        """Return whether all is equal, but for what a network with a Gram layer may differ."""
        return self.equal or (gram and self.steps <= GRAM_STEPS)


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of a library; ``here`` and ``cores`` are empty where tools are missing."""

    model: Model
    streaming: bool
    windows: str
    here: Difference | None
    cores: dict[str, tuple[Figures | None, Difference | None]]

    @property
    def acceptable(self) -> bool:
        """Nothing that ran said anything that it should not."""
        found = [self.here, *(difference for _, difference in self.cores.values())]
        gram = self.model.has_float_sums
        return all(each is None or each.acceptable(gram=gram) for each in found)

    def fields(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        cores = {name: _core(figures, difference) for name, (figures, difference) in self.cores.items()}
        first = next(iter(cores.values()), _core(None, None))
        here = self.here
        return {
            "name": self.model.name,
            "model": self.model.card.id,
            "streaming": self.streaming,
            "hop": self.model.hop,
            "arena_bytes": self.model.layout.bytes,
            **{key: first[key] for key in ("bss_bytes", "text_bytes", "stack_bytes", "instructions")},
            "windows": 0 if here is None else here.windows,
            "equal": None if here is None else here.equal,
            "outputs_differ": None if here is None else here.outputs,
            "answers_differ": None if here is None else here.answers,
            "largest_difference": None if here is None else here.steps,
            "macs": self.model.card.cost.macs,
            "flash_bytes": self.model.card.cost.flash_bytes,
            "cores": cores,
        }

    def sentence(self) -> str:
        """Return in one line how the outputs compare."""
        here = self.here
        if here is None:
            return "There was no C compiler, so that the outputs are not compared."
        if here.equal:
            return f"All outputs on {here.windows} windows ({self.windows}) equal onnxruntime's, bit by bit."
        return (
            f"Of {here.windows} windows ({self.windows}), {here.outputs} have an output that differs from "
            f"onnxruntime's, by {here.steps} step{'s' * (here.steps != 1)} of int8 at most, and {here.answers} another "
            "answer."
        )


def _core(figures: Figures | None, difference: Difference | None) -> dict[str, Any]:
    names = ("bss_bytes", "text_bytes", "model_text_bytes", "stack_bytes", "instructions", "worst_instructions")
    return {
        **{name: None if figures is None else getattr(figures, name) for name in names},
        "windows": None if difference is None else difference.windows,
        "equal": None if difference is None else difference.equal,
    }


def readme(report: Report) -> str:
    """Write the README of a library."""
    model, card = report.model, report.model.card
    name, upper = model.name, model.name.upper()
    channels, length = model.program.input_shape
    use = (
        f"""{name}_init();
for (;;) {{
    int8_t sample[{upper}_CHANNELS];
    /* for each channel: sample[channel] = {name}_sample(value in {model.unit}); */
    int32_t answer = {name}_push(sample); /* -1 until a window is full */
}}"""
        if report.streaming
        else f"""{name}_init();
int8_t *window = {name}_window(); /* [{upper}_LENGTH][{upper}_CHANNELS] */
/* for each sample: window[...] = {name}_sample(value in {model.unit}); */
int32_t answer = {name}_run(window);"""
    )
    kind = (
        "1 where it is unlike health, else 0"
        if card.kind == "health"
        else f"the index of the class; `{name}_classes[answer]` is its name"
    )
    way = _way(model) if report.streaming else "a window at a time"
    return f"""# {name}

Model `{card.id}` as C99: {channels} x {length} samples at {card.input.rate_hz:g} Hz, {way}.
Layers: {"; ".join(describe(each) for each in model.program.layers)}. Classes: {", ".join(card.classes)}.

```c
{use}
```

The answer is {kind}. Compile `{name}.c`, `edgetune_kernels.c` and, for `{name}_selftest()`,
`{name}_selftest.c` with `-ffp-contract=off` and without `-ffast-math`. Several models share one copy of the kernels.
`CMakeLists.txt` builds them and an example firmware.

## Measured

{report.sentence()}

{_table(report)}

Planned: {model.layout.bytes} B of arena, {card.cost.flash_bytes} B of flash by the card's formula, {card.cost.macs}
multiply-accumulates.
{_apart(report)}
"""


def _way(model: Model) -> str:
    return "sample by sample" + ("" if model.hop is None else f", a window every {model.hop} samples")


def _apart(report: Report) -> str:
    lines = [
        "Apart from the arena: the stack, your driver's buffers, and what your start-up code and C library need.",
        "Text counts this model's code and tables and the kernels it uses, not the self-test.",
    ]
    if report.streaming and report.model.layout.position is None:
        lines.append("The count of samples (2 B) found no gap in the arena and stands beside it.")
    if report.model.has_float_sums:
        lines.append(
            "Levels and correlations of channels are sums of floats in the ONNX file, in an order of its own: "
            f"outputs may differ by up to {GRAM_STEPS} steps of int8."
        )
    lines.append(
        "The logarithm is at most 3 units in the last place (1.1e-6) from the true one, as onnxruntime's on x86-64 is."
    )
    return "\n".join(lines)


def _table(report: Report) -> str:
    what = "instructions a window" + (" (worst sample)" if report.streaming else "")
    rows = [
        f"| core | static RAM (.bss) | stack | text | of it the model's | {what} | equal |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (figures, difference) in report.cores.items():
        if figures is None:
            rows.append(f"| {name} | not measured: no cross compiler | | | | | |")
            continue
        ran = "not emulated"
        if figures.instructions is not None:
            ran = f"{figures.instructions}" + (f" ({figures.worst_instructions})" if report.streaming else "")
        equal = "" if difference is None else f"{'yes' if difference.equal else 'no'}, {difference.windows} windows"
        stack = "" if figures.stack_bytes is None else f"{figures.stack_bytes} B"
        rows.append(
            f"| {name} | {figures.bss_bytes} B | {stack} | {figures.text_bytes} B | {figures.model_text_bytes} B "
            f"| {ran} | {equal} |"
        )
    return "\n".join(rows)

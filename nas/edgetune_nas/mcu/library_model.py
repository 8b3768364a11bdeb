"""What the C source of a model is written from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgetune_nas.mcu.operations import Correlated
from edgetune_nas.model import Flatten, shapes

if TYPE_CHECKING:
    from edgetune_nas.card import ModelCard
    from edgetune_nas.mcu.layout import Layout
    from edgetune_nas.mcu.operations import Program, Scale
    from edgetune_nas.model import Shape


@dataclass(frozen=True, slots=True)
class Model:
    """A program, where its tensors lie, and what its card says.

    ``raw_step`` is the value of one step of the sensor's integers in the card's unit; None where it is not known.
    ``hop`` is the number of samples from window to window of a stream whose windows overlap; None where they do not.
    """

    name: str
    card: ModelCard
    program: Program
    layout: Layout
    window: Scale
    raw_step: float | None
    hop: int | None = None

    @property
    def rows(self) -> int:
        """Number of values of the last int8 tensor."""
        return self._shapes()[-2][0]

    @property
    def has_float_sums(self) -> bool:
        """Whether onnxruntime adds up floats of a Gram layer: on samples, and in files of earlier versions."""
        return any(isinstance(each, Correlated) and not each.exact for each in self.program.operations)

    @property
    def unit(self) -> str:
        """What samples are in, without anything that would end a comment in C."""
        plain = (each for each in self.card.input.unit if each.isprintable() and each not in "*\\")
        return "".join(plain) or "the unit of the data"

    def _shapes(self) -> tuple[Shape, ...]:
        return shapes(self.program.input_shape, self.program.layers)

    def sizes(self) -> list[tuple[Shape, Shape]]:
        """Shapes before and after each operation."""
        found, before = [], self.program.input_shape
        for layer, after in zip(self.program.layers, self._shapes(), strict=True):
            if not isinstance(layer, Flatten):
                found.append((before, after))
            before = after
        return found

"""The model card: what a bundle says about its network, as it stands in ``card.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

FORMAT: Literal[2] = 2
"""What is written; format 1 is read for ever."""
MAX_SELF_TEST_WINDOWS: Final = 64
MAX_FRONT: Final = 1000
FALSE_ALARMS_PER_MONTH: Final = 0.1
"""False alarms a month that are wanted of a health model, unless somebody says otherwise: about one a year."""
Task = Literal["fault", "sign"]
Precision = Literal["float", "int8"]
Kind = Literal["classes", "health"]
Distance = Literal["graph", "side_file", "none"]
TestedOn = Literal["other_conditions", "other_recordings", "later_in_the_same_recordings"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputSpec(_Model):
    """The windows that the network takes."""

    channels: PositiveInt
    length: PositiveInt
    rate_hz: float = Field(gt=0)
    unit: str
    scale: float | None = Field(default=None, gt=0)
    """Value of one step of a sensor's integers in ``unit``; None where windows come in ``unit`` only."""


class CoreCost(_Model):
    """Estimated cost as C on a microcontroller's core; ``streamed_`` where samples are pushed one by one.

    ``instructions`` are those of a window, ``text_bytes`` code and tables, kernels included.
    """

    instructions: int
    streamed_instructions: int
    text_bytes: int
    streamed_text_bytes: int
    stack_bytes: int


class McuCost(_Model):
    """Estimated cost as C (`edgetune_nas.model.mcu_cost`).

    ``bss_bytes`` is the static memory of a library that stores windows, ``streamed_bss_bytes`` that of one that takes
    samples one by one. ``factors`` names the measured factors behind ``cores``.
    """

    factors: str
    bss_bytes: int
    streamed_bss_bytes: int
    cores: dict[str, CoreCost]

    @property
    def lines(self) -> list[str]:
        """Lines for people: static memory, then each core; in brackets what differs where samples are pushed."""
        return [
            f"static memory {self.bss_bytes} B ({self.streamed_bss_bytes} B streamed)",
            *(
                f"{name}: {core.instructions} instructions a window ({core.streamed_instructions}), "
                f"text {core.text_bytes} B ({core.streamed_text_bytes}), stack at most {core.stack_bytes} B"
                for name, core in self.cores.items()
            ),
        ]


class Cost(_Model):
    """Planned cost, by formula; docs/reference/cost.md defines each.

    ``mcu`` is None where nobody estimated it, and where the network cannot become C.
    """

    arena_bytes: int
    arena_bytes_deployed: int
    streamed_bytes: int
    arena_rule: str
    flash_bytes: int
    macs: int
    parameters: int
    mcu: McuCost | None = None


class Measured(_Model):
    """What one precision's file costs in onnxruntime on the machine that made the bundle."""

    ort_peak_bytes: int
    session_rss_bytes: int
    latency_p50_us: float
    latency_p99_us: float
    onnx_bytes: int


class Metrics(_Model):
    """How well the network does on windows that no choice was made on.

    A health model knows no classes: it has ``false_alarms`` in the place of every accuracy, which are null.

    ``accuracy_low`` and ``accuracy_high`` bound a 95 % interval (`edgetune_nas.bundle.scores.interval`). ``recordings``
    is the number of recordings it rests on, None where that is not known. ``confusion`` has true classes in rows.

    ``false_alarms`` is the share of healthy windows over the limit, with the same kind of interval. Each was judged by
    a model that had not learned it. ``healthy_seconds`` is the healthy time heard, and ``supported_per_month``
    what it supports: with 95 % confidence there are no more false alarms in a month (3 over the time where it has
    none).
    """

    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    macro_f1: float | None
    calibration_error: float | None
    windows: int
    confusion: list[list[int]]
    accuracy_by_condition: dict[str, float] = {}
    recordings: PositiveInt | None = None
    false_alarms: float | None = Field(default=None, ge=0, le=1)
    false_alarms_low: float | None = Field(default=None, ge=0, le=1)
    false_alarms_high: float | None = Field(default=None, ge=0, le=1)
    healthy_seconds: float | None = Field(default=None, gt=0)
    supported_per_month: float | None = Field(default=None, gt=0)

    @property
    def chance(self) -> float | None:
        """Accuracy of always naming the most frequent class of the held-out windows; None of a health model.

        It is never less than one over the number of classes, and it is what a network gets that has learned nothing.
        """
        rows = [sum(row) for row in self.confusion]
        return max(rows) / sum(rows) if sum(rows) else None

    @property
    def above_chance(self) -> bool | None:
        """Whether the mean share of its windows that a class gets right is above that of one answer to all windows.

        That is the accuracy, if all classes have equally many windows. None where fewer than two classes were held out.
        """
        shares = [row[index] / sum(row) for index, row in enumerate(self.confusion) if sum(row)]
        return sum(shares) > 1.0 if len(shares) > 1 else None


class Budget(_Model):
    """Limits that the network was searched under; ``None`` is no limit."""

    ram_bytes: PositiveInt | None = None
    flash_bytes: PositiveInt | None = None
    macs: PositiveInt | None = None
    search_seconds: float = Field(default=60.0, gt=0, le=86_400)


class SearchSummary(_Model):
    """What the search did."""

    seed: int
    candidates: int
    rejected: int
    trained: int
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    stopped_by: Literal["converged", "time", "cancelled", "candidates"]
    validation_accuracy: float | None


class Learned(_Model):
    """What a bundle has learned from: a count of windows, and fingerprints of recordings (none where too many)."""

    windows: PositiveInt
    recordings: list[str] = []


class SignFigures(_Model):
    """What a node measured of a person's signs on their recordings, before it put the bundle into use.

    Attributes
    ----------
    false_per_minute_of_rest
        Signs, named or unknown, that the network as it was measured finds in rest that it did not learn; None without
        such rest.
    rest_seconds
        Seconds of that rest.
    power
        Mean square of each channel without its mean, by class.
    """

    false_per_minute_of_rest: float | None = None
    rest_seconds: float = 0.0
    power: dict[str, list[float]] = {}


class LibraryUse(_Model):
    """How older data, or other people's, served as a prior (`edgetune_nas.library`).

    Attributes
    ----------
    recordings
        Number of recordings; None where that is not known.
    role
        Whether the library is a prior of means and spread (closed forms), or what a network was trained on first.
    weight
        Weight of its mean of a class, as a share of the weight of the class's new windows; or share of the training
        steps before the new windows alone.
    spread_weight
        Weight of its covariance, the new windows' being the rest; None for a trained network.
    """

    recordings: PositiveInt | None
    windows: PositiveInt
    role: Literal["means_and_spread", "trained_first"]
    weight: float
    spread_weight: float | None = None

    @property
    def text(self) -> str:
        """One line for people, for example ``588 windows of 15 recordings, a prior of means (weight 0.2) ...``."""
        of = "" if self.recordings is None else f" of {self.recordings} recording{'s' * (self.recordings > 1)}"
        if self.spread_weight is None:
            return f"{self.windows} windows{of}, learned in the first {self.weight:.0%} of the training"
        spread = f"and of spread (weight {self.spread_weight:g} beside {1 - self.spread_weight:g})"
        return f"{self.windows} windows{of}, a prior of means (weight {self.weight:g} beside 1) {spread}"


class FrontNetwork(_Model):
    """A network of the Pareto front that a bundle keeps.

    Attributes
    ----------
    point
        Its number, by which `edgetune_nas.bundle.pick` takes it.
    validation_accuracy
        What the search chose by. The test accuracy stands in the card of the bundle that is made of it.
    arena_bytes, flash_bytes, macs
        Planned cost at int8.
    trained
        Whether it was trained; else it is a closed form.
    """

    point: NonNegativeInt
    validation_accuracy: float
    arena_bytes: int
    flash_bytes: int
    macs: int
    trained: bool


class ModelCard(_Model):
    """Everything a bundle says about itself (format 2; cards of format 1 lack the optional fields at the end).

    Attributes
    ----------
    kind
        Whether the graph tells classes apart, or gives the distance from health alone.
    distance, distance_limit
        Where the distance from the training data comes from, and the value beyond which a window is unknown.
    distance_rows
        Of classes whose distances come from the float graph: class of each, as an index into ``classes``; else None.
    distance_bytes
        Size of what gives the distance: the side file, or its constants in the float graph, which ``cost`` leaves out.
    rows
        Class of each row of the output, as an index into ``classes``; None where row and class are the same.
    measured_rows
        The same of ``model.measured.onnx``; None where it is as ``rows``.
    tested_on
        What kind of windows ``metrics`` come from; None where nobody said.
    tested_in_parts
        Classes of which only parts of recordings were held out; whole recordings were held out of all others. Empty
        where it is so of all classes or of none.
    measured_before_refit
        Whether ``metrics`` are those of ``model.measured.onnx``, before all data were learned.
    accuracy_left_out
        Accuracy in each condition of networks of the same layers that have not learned it (cross-validation); empty
        where a class was recorded in one alone. Another load or speed may get as much.
    learned
        What the deployed network has learned from.
    library
        What of it was a library; None where there was none.
    self_test_windows
        Number of windows in ``selftest.npz``.
    signs
        What a node measured of a person's signs; None where none did.
    front, front_point
        Networks of the Pareto front that the bundle keeps, and which of them is its own; empty and None without any.
    """

    format: Literal[1, 2] = FORMAT
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{3,63}$")
    created: AwareDatetime
    task: Task
    classes: list[str] = Field(min_length=1)
    input: InputSpec
    layers: list[str]
    cost: Cost
    measured: dict[Precision, Measured]
    deployed: Precision
    deployed_because: str
    metrics: Metrics
    replaced: Metrics | None = None
    budget: Budget
    search: SearchSummary
    data_fingerprint: str
    sha256: dict[str, str]
    versions: dict[str, str]
    notes: dict[str, Any] = {}
    kind: Kind = "classes"
    distance: Distance | None = None
    distance_limit: float | None = Field(default=None, gt=0)
    distance_rows: list[NonNegativeInt] | None = Field(default=None, min_length=1)
    distance_bytes: NonNegativeInt | None = None
    rows: list[NonNegativeInt] | None = None
    measured_rows: list[NonNegativeInt] | None = None
    tested_on: TestedOn | None = None
    tested_in_parts: list[str] = []
    measured_before_refit: bool = False
    accuracy_left_out: dict[str, float] = {}
    learned: Learned | None = None
    library: LibraryUse | None = None
    self_test_windows: int | None = Field(default=None, ge=1, le=MAX_SELF_TEST_WINDOWS)
    signs: SignFigures | None = None
    front: list[FrontNetwork] = Field(default=[], max_length=MAX_FRONT)
    front_point: NonNegativeInt | None = None

    @model_validator(mode="after")
    def _agrees(self) -> ModelCard:
        if self.deployed not in self.measured:
            raise ValueError(
                f"deployed is {self.deployed!r}, which is not among the measured ({', '.join(self.measured)})"
            )
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes names one twice")
        if self.kind == "classes" and len(self.classes) < 2:  # noqa: PLR2004 - one alone is told from nothing
            raise ValueError("classes has one alone; of kind 'classes' a model tells two or more apart")
        if self.kind == "classes" and self.metrics.accuracy is None:
            raise ValueError("metrics.accuracy is null; a model of kind 'classes' has one")
        in_graph = self.kind == "classes" and self.distance == "graph"
        if in_graph != (self.distance_rows is not None) or (in_graph and self.distance_limit is None):
            raise ValueError("distance_rows and distance_limit belong to distances to classes that the graph gives")
        if in_graph and self.deployed != "float":
            raise ValueError("deployed is 'int8', whose graph gives no distances to classes")
        if max(self.distance_rows or [0]) >= len(self.classes):
            raise ValueError(f"distance_rows is {self.distance_rows}; there are {len(self.classes)} classes")
        for name, rows in (("rows", self.rows), ("measured_rows", self.measured_rows)):
            if rows is not None and set(rows) != set(range(len(self.classes))):
                raise ValueError(f"{name} is {rows}; it must name each of the {len(self.classes)} classes")
        return self

    @property
    def outputs(self) -> int:
        """Rows of the output."""
        return len(self.classes if self.rows is None else self.rows)


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """A candidate that no other beats in both arena and score (Pareto front); with its validation accuracy."""

    arena_bytes: int
    accuracy: float
    trained: bool
    layers: tuple[str, ...]

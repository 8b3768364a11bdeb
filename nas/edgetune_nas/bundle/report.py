"""The bundle's ``report.html``: one self-contained page of pictures and tables about a search and its winner."""

from __future__ import annotations

import json
import subprocess
import sys
from html import escape
from typing import TYPE_CHECKING, Any

from edgetune_nas.bundle.html import ACCENT, INK, QUIET, figure_of, image, page, table
from edgetune_nas.bundle.tested import card_accuracy, false_alarms_text, how_tested
from edgetune_nas.card import FrontPoint, ModelCard
from edgetune_nas.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from edgetune_nas.card import Measured, Metrics

MAX_ANNOTATED_CLASSES = 30
ALL, LEAST_SPAN = 100.0, 2.0
"""Per cent: the end of an axis of accuracies, and the least that it shows."""
CLASS_FIGURES = (
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "macro_f1",
    "calibration_error",
    "windows",
    "recordings",
)
HEALTH_FIGURES = (
    "false_alarms",
    "false_alarms_low",
    "false_alarms_high",
    "healthy_seconds",
    "supported_per_month",
    "windows",
    "recordings",
)
FRONT_CAPTION = (
    "Validation accuracy against arena. On the line: candidates that no other beats in both. Faint: candidates that "
    "the search kept because it compares the calibrated certainty on validation windows, a finer measure than accuracy."
)


def render(card: ModelCard, front: Sequence[FrontPoint], curve: Sequence[float]) -> str:
    """Page about ``card``; everything in it comes from the arguments, nothing is loaded when it is read.

    Of a cancelled search it has no pictures: drawing takes a second, and somebody waits for the end.

    Parameters
    ----------
    front
        Accuracy-RAM front of the search.
    curve
        Training loss of the winner, epoch by epoch; empty where it was solved for.
    """
    pictures = [] if _cancelled(card) else _pictures(card, front, curve)
    title = f"Model {card.id}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p class='lead'>{escape(_summary(card))}</p>",
        *([f"<p>Note: {escape(str(card.notes['training']))}.</p>"] if "training" in card.notes else []),
        *(["<p>Note: the search was cancelled, and took no time for pictures.</p>"] if _cancelled(card) else []),
        *(f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>" for caption, picture in pictures),
        "<h2>Network</h2>",
        table((str(number), layer) for number, layer in enumerate(card.layers, 1)),
        "<h2>Cost</h2>",
        table((name.replace("_", " "), value) for name, value in card.cost.model_dump(exclude={"mcu"}).items()),
        *(
            []
            if card.cost.mcu is None
            else ["<h3>As C, estimated</h3>", table((each,) for each in card.cost.mcu.lines)]
        ),
        "<h2>Measured where it was made</h2>",
        _measured(card),
        f"<p>Deployed: {escape(card.deployed)}. {escape(card.deployed_because)}.</p>",
        "<h2>Test windows</h2>",
        f"<p>{escape(_test(card))}</p>",
        _metrics(card),
        "<h2>Search</h2>",
        table((name.replace("_", " "), value) for name, value in card.search.model_dump().items()),
        table((f"limit: {name.replace('_', ' ')}", value) for name, value in card.budget.model_dump().items()),
        f"<p>Data {escape(card.data_fingerprint)}</p>",
    ]
    return page(title, body)


def render_apart(card: ModelCard, curve: Sequence[float]) -> str:
    """Render as `render` does, in a process of its own where pictures are drawn; the front is in the card's notes.

    Drawing takes some 55 MiB, which a search that has loaded torch does not need to have on top.

    Raises
    ------
    BundleError
        When that process fails.
    """
    if _cancelled(card):
        return render(card, (), curve)
    asked = json.dumps({"card": card.model_dump(mode="json"), "curve": list(curve)})
    command = [sys.executable, "-m", "edgetune_nas.bundle.report"]
    done = subprocess.run(command, input=asked, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise BundleError(f"the report of {card.id} could not be drawn: {said}")
    return done.stdout


def render_noted(card: ModelCard, curve: Sequence[float]) -> str:
    """Render as `render` does; the front is in the card's notes."""
    front = [FrontPoint(**{**point, "layers": tuple(point["layers"])}) for point in card.notes.get("front", [])]
    return render(card, front, curve)


def main() -> None:
    """Read card and curve as JSON from the standard input, and write the page."""
    asked = json.loads(sys.stdin.buffer.read())
    sys.stdout.buffer.write(render_noted(ModelCard.model_validate(asked["card"]), asked["curve"]).encode())


def _cancelled(card: ModelCard) -> bool:
    return card.search.stopped_by == "cancelled"


def _pictures(card: ModelCard, front: Sequence[FrontPoint], curve: Sequence[float]) -> list[tuple[str, str]]:
    """Captions and pictures; none of a health model, which has neither front nor classes to confuse."""
    winner = card.search.validation_accuracy
    if winner is None:
        return []
    pictures = [
        (FRONT_CAPTION, _front_picture(card, front, winner)),
        ("Confusion on the test windows, true classes in rows", _confusion_picture(card.metrics, card.classes)),
    ]
    if len(curve) > 1:
        pictures.append(("Training loss of the winner (cross-entropy with label smoothing)", _curve_picture(curve)))
    return pictures


def _summary(card: ModelCard) -> str:
    if card.kind == "health":
        return (
            f"Health model of {card.classes[0]}: {false_alarms_text(card)}. "
            f"{card.cost.arena_bytes} bytes of memory as int8, made {card.created:%Y-%m-%d %H:%M} UTC."
        )
    return (
        f"Accuracy {card_accuracy(card)}, "
        f"{card.cost.arena_bytes} bytes of memory as int8 ({card.cost.streamed_bytes} when streamed), "
        f"{len(card.classes)} classes, made {card.created:%Y-%m-%d %H:%M} UTC."
    )


def _test(card: ModelCard) -> str:
    said = how_tested(card.tested_on, card.tested_in_parts) or "nobody said how this was tested"
    said = said[0].upper() + said[1:]
    library = "" if card.library is None else f" Beside the new data there was a library: {card.library.text}."
    return (
        f"{said}; the limits of the accuracy bound a 95 % interval in which each recording counts, not each window."
        f"{library}"
    )


def _measured(card: ModelCard) -> str:
    names = list(next(iter(card.measured.values())).model_dump())
    rows = [["", *card.measured]]
    rows += [[name.replace("_", " "), *(_taken(name, each) for each in card.measured.values())] for name in names]
    return table(rows)


def _taken(name: str, measured: Measured) -> Any:
    """One measured figure; a process's memory may have grown by less than can be seen."""
    value = getattr(measured, name)
    return "not measurable" if name == "session_rss_bytes" and value == 0 else value


def _metrics(card: ModelCard) -> str:
    columns = {"this model": card.metrics, **({} if card.replaced is None else {"replaced model": card.replaced})}
    rows: list[list[Any]] = [["", *columns]]
    figures = CLASS_FIGURES if card.kind == "classes" else HEALTH_FIGURES
    rows += [[name.replace("_", " "), *(_known(getattr(each, name)) for each in columns.values())] for name in figures]
    for condition in card.metrics.accuracy_by_condition:
        values = [each.accuracy_by_condition.get(condition, "") for each in columns.values()]
        rows.append([f"accuracy, {condition}", *values])
    return table(rows)


def _known(value: object) -> object:
    return "not known" if value is None else value


def unbeaten(front: Sequence[FrontPoint]) -> list[FrontPoint]:
    """Points with a higher accuracy than every point of at most their arena, smallest arena first."""
    line: list[FrontPoint] = []
    for point in sorted(front, key=lambda point: (point.arena_bytes, -point.accuracy)):
        if not line or point.accuracy > line[-1].accuracy:
            line.append(point)
    return line


def _front_picture(card: ModelCard, front: Sequence[FrontPoint], winner: float) -> str:
    figure, [axes] = figure_of(6.5, 3.4)
    memory = [point.arena_bytes for point in front]
    line = unbeaten(front)
    axes.step(
        [point.arena_bytes for point in line],
        [100 * point.accuracy for point in line],
        where="post",
        color=QUIET,
        linewidth=1,
    )
    for trained, marker, label in ((False, "s", "solved"), (True, "o", "trained")):
        for chosen, opacity, named in (
            ([point for point in line if point.trained == trained], 1.0, label),
            ([point for point in front if point.trained == trained and point not in line], 0.25, f"{label}, beaten"),
        ):
            if chosen:
                axes.scatter(
                    [point.arena_bytes for point in chosen],
                    [100 * point.accuracy for point in chosen],
                    marker=marker,
                    label=named,
                    color=INK,
                    alpha=opacity,
                )
    axes.scatter(
        [card.cost.arena_bytes],
        [100 * winner],
        s=140,
        facecolors="none",
        edgecolors=ACCENT,
        linewidths=2,
        label="winner",
    )
    if card.budget.ram_bytes is not None and card.budget.ram_bytes < 4 * max([*memory, card.cost.arena_bytes]):
        axes.axvline(card.budget.ram_bytes, color=ACCENT, linestyle=":", linewidth=1, label="limit")
    axes.set_xlabel("arena, bytes (int8)")
    axes.set_ylabel("validation accuracy, %")
    _up_to_all(axes)
    figure.legend(frameon=False, loc="outside upper center", ncols=6, fontsize=8)
    return image(figure)


def _up_to_all(axes: Axes) -> None:
    """End an axis of per cent at 100, with room above for the marks there but no tick."""
    low, high = axes.get_ylim()
    if high > ALL:
        low = min(low, ALL - LEAST_SPAN)
        axes.set_ylim(low, ALL + 0.05 * (ALL - low))
        axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= ALL])


def _confusion_picture(metrics: Metrics, classes: Sequence[str]) -> str:
    count = len(classes)
    size = min(9.0, 3.0 + 0.3 * count)
    figure, [axes] = figure_of(size + 1, size)
    shares = [[value / max(1, sum(row)) for value in row] for row in metrics.confusion]
    axes.imshow(shares, cmap="GnBu", vmin=0, vmax=1)
    axes.set_xticks(range(count), classes, rotation=90)
    axes.set_yticks(range(count), classes)
    axes.set_xlabel("said")
    axes.set_ylabel("true")
    if count <= MAX_ANNOTATED_CLASSES:
        for row, values in enumerate(metrics.confusion):
            for column, value in enumerate(values):
                if value:
                    dark = shares[row][column] > 0.5  # noqa: PLR2004 - where white text reads better
                    axes.text(
                        column, row, str(value), ha="center", va="center", fontsize=7, color="white" if dark else INK
                    )
    return image(figure)


def _curve_picture(curve: Sequence[float]) -> str:
    figure, [axes] = figure_of(6.5, 2.6)
    axes.plot(range(1, len(curve) + 1), curve, color=ACCENT)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss, nats")
    axes.set_ylim(bottom=0)
    return image(figure)


if __name__ == "__main__":
    main()

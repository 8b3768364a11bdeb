"""The rules of a calibration job: which commands it can take on, and whether a search's winner is put into use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgetune_node.calibration.take import MAX_TAKE_BYTES, take_bytes, take_samples
from edgetune_node.contract import Recalibrate, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgetune_nas.card import ModelCard
    from edgetune_signal.stream import StreamSpec

REST_S: Final = 30.0
"""Seconds of rest with slight movements that a person is asked for, unless as much is stored.

The people of ``foreign/myo41`` rested as long with slight movements; `make bench-signs` learns that.
"""


def reasons_against(
    command: Recalibrate | Record,
    stored: Mapping[str, float],
    *,
    spec: StreamSpec,
    window: int,
    healthy_class: str | None = None,
    rest_class: str | None = None,
) -> list[str]:
    """Find reasons not to accept a command, given what the node has.

    Parameters
    ----------
    command
        What somebody wants.
    stored
        Seconds of stored recordings per class.
    spec
        The stream that would be recorded.
    window
        Samples per window; a shorter take would hold none.
    healthy_class
        Class of which alone a health model is made; None where there is no such model, as of signs.
    rest_class
        Class of a person at rest; None of a machine, which does not rest.

    Returns
    -------
    list of str
        One sentence per reason, starting with the field's name; empty where the command can be accepted. Any class may
        be new.
    """
    known = {name for name, seconds in stored.items() if seconds > 0}
    if isinstance(command, Record):
        return _length_problems("seconds", command.seconds, spec, window)
    if command.source == "stored":
        if not known:
            return ["source: there are no stored recordings; use source live, or publish cmd/record for each class"]
        if len(known) == 1 and healthy_class not in known:
            return [f"source: only {known.pop()!r} is stored; {_one_more(healthy_class)}, so record another first"]
        return []
    reasons = _length_problems("seconds_per_take", command.seconds_per_take, spec, window)
    if command.rest_seconds and rest_class is None:
        reasons.append("rest_seconds: only a person rests, and this asset has task fault; leave rest_seconds out")
    elif command.rest_seconds:
        reasons += _length_problems("rest_seconds", command.rest_seconds, spec, window)
    rest = {rest_class} if command.rest_seconds else set()
    if len(known | rest | set(command.classes)) == 1 and healthy_class not in command.classes:
        reasons.append(
            f"classes: {command.classes[0]!r} alone cannot be told from anything, and no other class is stored; "
            f"{_one_more(healthy_class)}, so collect another one too"
        )
    return reasons


def rest_seconds(command: Recalibrate | Record, stored: Mapping[str, float], rest_class: str) -> float:
    """Return the seconds of rest with slight movements that a person is asked for after the takes; 0 for none."""
    if isinstance(command, Record) or command.source == "stored":
        return 0.0
    if command.rest_seconds is not None:
        return command.rest_seconds
    return REST_S if rest_class in command.classes and stored.get(rest_class, 0.0) < REST_S else 0.0


def decide_deployment(
    policy: str, card: ModelCard, current_model: str | None, current_classes: Iterable[str] = ()
) -> tuple[bool, str]:
    """Decide whether a search's winner replaces the current model, and say why.

    ``if_better`` asks for proof: a higher accuracy on the same held-out data. A tie keeps the old model, unless the new
    one knows all of its classes (``current_classes``) and others besides, of which little may be held out. A comparison
    that could not be made keeps it too. A first model is compared with chance, and stays out of use if it is not above
    that. A health model names no faults and has no accuracy to compare: it gives way to
    a newer one and to a model of classes that knows its class, and replaces no model of classes.
    """
    if policy == "always":
        return True, "the new model is in use, as asked (deploy: always)"
    if policy == "never":
        return False, "the new model is kept and not put into use, as asked (deploy: never)"
    if current_model is None:
        return _first_deployment(card)
    before, after = {*current_classes}, {*card.classes}
    if card.kind == "health" and before == after:
        return True, f"made from all the health that is stored, as {current_model} was from what there was then"
    if card.kind == "health":
        return False, (
            f"a health model names no faults, and {current_model} does; publish cmd/deploy to use it all the same"
        )
    if card.replaced is None and len(before) == 1 and before < after:
        return True, f"it names what {current_model}, a health model, could only tell from health"
    if card.replaced is None:
        return False, (
            f"{current_model} could not be run on the held-out data, so the new model is not proven better; "
            "publish cmd/deploy to use it all the same"
        )
    new, old = card.metrics.accuracy or 0.0, card.replaced.accuracy or 0.0
    figures = f"accuracy {new:.4f} against {old:.4f} of {current_model} on the same held-out data"
    if new > old:
        return True, f"better: {figures}"
    if new == old and before and before < after:
        return True, f"no worse, and it knows {', '.join(sorted(after - before))} besides: {figures}"
    return False, f"no better: {figures}"


def _first_deployment(card: ModelCard) -> tuple[bool, str]:
    accuracy, chance = card.metrics.accuracy, card.metrics.chance
    if accuracy is None or chance is None or card.metrics.above_chance is not False:
        return True, "the asset had no model, so the new one is in use"
    return False, (
        f"no better than chance: accuracy {accuracy:.1%}, and always naming the most frequent class gets {chance:.1%}; "
        "check that each recording is what its label says, and record again. "
        "Publish cmd/deploy to use the model all the same"
    )


def chance_warning(card: ModelCard) -> str | None:
    """Return why a model's accuracy may be chance; None where its interval lies above that, and of a health model."""
    accuracy, low, chance = card.metrics.accuracy, card.metrics.accuracy_low, card.metrics.chance
    if accuracy is None or low is None or chance is None or low > chance:
        return None
    return (
        f"the model is not proven better than chance: accuracy {accuracy:.1%}, "
        f"at least {low:.1%} with 95 % confidence, and always naming the most frequent class gets {chance:.1%}; "
        "record more takes of each class"
    )


def _length_problems(field: str, seconds: float, spec: StreamSpec, window: int) -> list[str]:
    if take_samples(seconds, spec) < window:
        return [
            f"{field}: {seconds:g} s are fewer samples than one window has; take {window / spec.rate_hz:g} s or more"
        ]
    if take_bytes(seconds, spec) > MAX_TAKE_BYTES:
        longest = seconds * MAX_TAKE_BYTES / take_bytes(seconds, spec)
        return [f"{field}: {seconds:g} s do not fit in memory at {spec.rate_hz:g} Hz; take {longest:.0f} s or less"]
    return []


def _one_more(healthy_class: str | None) -> str:
    if healthy_class is None:
        return "a network needs two classes"
    return f"a network needs two classes, and a health model {healthy_class!r}"

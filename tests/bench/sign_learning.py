"""The ways in which a node makes a person's model for a session: from what recordings, and with what library."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sign_sets import REST
from sign_systems import HOP_S, WINDOW_S

from edgetune_nas.bundle.read import load_bundle
from edgetune_nas.card import Budget
from edgetune_nas.search.run import search
from edgetune_nas.worker.child import load
from edgetune_node.config import AssetSection
from edgetune_node.events import StartSearch
from edgetune_node.runtime.search_runner import learned_from
from edgetune_signal import RecordingStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sign_sets import Person

    from edgetune_nas.bundle.read import Bundle
    from edgetune_signal import Recording

QUOTA_BYTES: Final = 1 << 30
BUDGET: Final = Budget(ram_bytes=4096)


def with_library(person: Person, others: Iterable[Person]) -> Bundle:
    """Search a network on a person's takes, with what others have recorded as library."""
    return _searched(person, (), person.learned, [each for each in others if each.name != person.name])


def after_one_take(person: Person, session: str, others: Iterable[Person] = ()) -> Bundle:
    """Search a network on a new take of each sign, with the person's old takes as library, and maybe others'."""
    return _searched(person, person.learned, person.later[session], [each for each in others if each is not person])


def _searched(
    person: Person, old: tuple[Recording, ...], collected: tuple[Recording, ...], others: list[Person]
) -> Bundle:
    """Search as a node does whose job has just ``collected`` takes, and that has stored ``old`` and others' ones."""
    first = collected[0]
    length = round(WINDOW_S * person.rate_hz)
    section = AssetSection(
        id="arm",
        task="sign",
        channels=first.samples.shape[0],
        rate_hz=person.rate_hz,
        unit=first.unit,
        rest_class=REST,
        window={"length": length, "hop": round(HOP_S * person.rate_hz)},
    )
    with tempfile.TemporaryDirectory() as temporary:
        store = RecordingStore(Path(temporary) / "recordings", QUOTA_BYTES)
        for other in others:
            for take in other.recorded:
                store.add(replace(take, subject=other.name))
        for take in old:
            store.add(replace(take, subject=person.name))
        paths = tuple(store.add(replace(take, subject=person.name)) for take in collected)
        classes = tuple(sorted({take.label for take in collected}))
        wanted = StartSearch("arm", "recalibrate", classes, BUDGET, subject=person.name, collected=paths)
        data, library = learned_from(wanted, store, section)
        made = search(
            load(data),
            task="sign",
            budget=BUDGET,
            out=Path(temporary) / "out",
            library=None if library is None else load(library, by_person=True),
            candidates=3,
        )
        return load_bundle(made.bundle)

"""``make sensitivity``: constants of the closed forms for machines, each halved and doubled, over the examination.

A closed form of the bank that a search prefers is solved on everything that a protocol gives to learn, and asked about
its test. ``EDGETUNE_DATA`` names the folder of recordings; without it ``../shared/data`` is taken.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
from exam_protocols import PROTOCOLS
from real_data import ABSENT, DATA
from rich.console import Console
from rich.table import Table

from edgetune_nas.model import closed_form, frontend, search_space as space
from edgetune_nas.model.search_space import Bank, Genotype
from edgetune_nas.training import kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgetune_signal.datasets import Dataset

LEFT_OUT = ("cwru-later-offset", "cwru-fe", "motors")
"""Protocols that say the same as another, or that every variant answers without a fault."""
BANK = Bank(64, 256, 64)
DRIFT = closed_form.BANK_DRIFT


@dataclass(frozen=True)
class Variant:
    """One value of a constant: a bank of its own, or names of a module that are set to something else."""

    constant: str
    value: str
    bank: Bank = BANK
    module: Any = None
    values: tuple[tuple[str, Any], ...] = ()


def _scaled(name: str, module: Any, constant: str, factors: Sequence[float] = (0.5, 2)) -> list[Variant]:
    now = getattr(module, constant)
    scaled = [type(now)(now * factor) for factor in factors]
    return [Variant(f"{name}, {now:g}", f"{each:g}", module=module, values=((constant, each),)) for each in scaled]


def _banks(name: str, *banks: tuple[str, Bank]) -> list[Variant]:
    return [Variant(name, value, bank) for value, bank in banks]


def _drifts(name: str, *drifts: tuple[str, closed_form.ExpectedDrift]) -> list[Variant]:
    return [Variant(name, value, module=closed_form, values=(("BANK_DRIFT", drift),)) for value, drift in drifts]


VARIANTS = [
    Variant("as it is", ""),
    *_banks("bands, 64", ("32", replace(BANK, bands=32)), ("128", replace(BANK, bands=128))),
    *_banks("taps, 256", ("128", replace(BANK, kernel=128, stride=32)), ("512", replace(BANK, kernel=512, stride=128))),
    *_banks("stride, 64", ("32", replace(BANK, stride=32)), ("128", replace(BANK, stride=128))),
    *_banks("mean of magnitudes", ("of squares", replace(BANK, p=2))),
    *_scaled("floor of the logarithm", frontend, "BANK_LOG_FLOOR"),
    *_drifts(
        "drift of each level, 0.2", ("0.1", replace(DRIFT, each=0.5 * DRIFT.each)), ("0.4", replace(DRIFT, each=0.4))
    ),
    *_drifts("drift of all levels, 1", ("0.5", replace(DRIFT, common=0.5)), ("2", replace(DRIFT, common=2.0))),
    *_scaled("windows of a recording with a spread", closed_form, "SHORTEST_RECORDING"),
    Variant("scatter between recordings", "not expected", module=closed_form, values=(("SHORTEST_RECORDING", 10**9),)),
    *_scaled("kinds merged below", kinds, "NEAREST"),
    *_scaled("most kinds", kinds, "MOST_KINDS"),
    *_scaled("windows of a recording that is a kind", kinds, "FEWEST_WINDOWS"),
    *_scaled("least spread of a level", kinds, "LEAST_SPREAD"),
]


def accuracy(variant: Variant, learn: Dataset, test: Dataset) -> float:
    """Return the share of test windows that the variant tells right."""
    shape = learn.channels, learn.length
    taps = space.power_of_two(learn.length / 2, variant.bank.kernel)
    bank = replace(variant.bank, kernel=taps, stride=variant.bank.stride * taps // variant.bank.kernel)
    with ExitStack() as patches:
        for name, value in variant.values:
            patches.enter_context(mock.patch.object(variant.module, name, value))
        found = kinds.find_kinds(learn)
        layers = space.expand(Genotype(bank, None, (), "flat"), shape, len(learn.classes), found.counts)
        network = closed_form.fit(
            layers,
            learn.x,
            found.of_window,
            classes=sum(found.counts),
            recording=closed_form.recordings(learn),
        )
        guess = closed_form.logits(network, test.x).argmax(axis=1)
    return float((np.array(learn.classes)[guess] == np.array(test.classes)[test.label]).mean())


def main() -> None:
    """Print the mean over all protocols of every variant, and where it differs most."""
    if not (DATA / "foreign").is_dir():
        sys.stdout.write(f"skipped: {ABSENT}\n")
        return
    chosen = [each for each in PROTOCOLS if each.task == "fault" and each.name not in LEFT_OUT]
    share = np.zeros((len(VARIANTS), len(chosen)))
    for column, protocol in enumerate(chosen):
        sheet = protocol.load(DATA, "")
        for row, variant in enumerate(VARIANTS):
            share[row, column] = accuracy(variant, sheet.learn, next(iter(sheet.tests.values())))
    table = Table(title=f"right windows, mean over {len(chosen)} protocols")
    for name in ("constant", "value", "%", "to as it is", "most changed"):
        table.add_column(name, justify="left" if name in {"constant", "value", "most changed"} else "right")
    for variant, own in zip(VARIANTS, share, strict=True):
        change = 100 * (own - share[0])
        most = int(np.abs(change).argmax())
        said = f"{chosen[most].name} {change[most]:+.1f}" if change[most] else ""
        table.add_row(variant.constant, variant.value, f"{100 * own.mean():.1f}", f"{change.mean():+.2f}", said)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

"""What reads bytes from outside ends in its own error or not at all; `make fuzz` tries more, for longer."""

from __future__ import annotations

import importlib.util
import random
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
DAMAGED = 60


def beside(name: str) -> Any:
    """Import a script of this folder, which is on nobody's path."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


NAMES = beside("fuzz").NAMES


@pytest.fixture(scope="module")
def targets() -> Iterator[Any]:
    module = beside("targets")
    yield module
    shutil.rmtree(module.folder(), ignore_errors=True)


def test_every_target_is_fuzzed(targets: Any) -> None:
    assert tuple(targets.TARGETS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_ends_in_its_own_error_or_not_at_all(targets: Any, name: str) -> None:
    target = targets.TARGETS[name]
    for seed in target.seeds():
        target.read(seed)
        for number in range(DAMAGED):
            target.read(damaged(seed, random.Random(number)))


def damaged(seed: bytes, chance: random.Random) -> bytes:
    """Change, cut out, repeat or cut off a few bytes."""
    content = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(content) + 1)
        end = start + chance.randrange(16)
        match chance.randrange(4):
            case 0:
                content[start:end] = chance.randbytes(chance.randrange(16))
            case 1:
                del content[start:end]
            case 2:
                content[start:start] = content[start:end]
            case _:
                del content[start + chance.randrange(200) :]
    return bytes(content)


FOUND = sorted(path for path in (HERE / "found").glob("*") if path.is_file())


@pytest.mark.parametrize("path", FOUND, ids=[path.name for path in FOUND])
def test_what_was_found_once_is_read_or_refused(targets: Any, path: Path) -> None:
    targets.TARGETS[path.name.partition("-")[0]].read(path.read_bytes())

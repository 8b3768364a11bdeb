"""What ``edgetune doctor`` finds in the model store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgetune_node.cli.local.model_checks import check_models
from edgetune_node.config.settings import AssetSection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TINY = AssetSection.model_validate({"id": "press", "rate_hz": 1000, "window": {"length": 64, "hop": 64}})


@pytest.fixture
def models(tmp_path: Path, write_tiny_bundle: Callable[..., Path]) -> Path:
    folder = tmp_path / "assets" / "press" / "models"
    folder.mkdir(parents=True)
    bundles = [write_tiny_bundle(folder, seed=seed) for seed in (1, 2)]
    (folder / "previous").symlink_to(bundles[0].name)
    (folder / "current").symlink_to(bundles[1].name)
    return folder


def test_whole_bundles_are_verified(models: Path, tmp_path: Path) -> None:
    found = check_models(TINY, tmp_path)
    assert [finding.level for finding in found] == ["ok", "ok"]
    assert sum("in use, files verified" in finding.seen for finding in found) == 1
    assert {path.name for path in models.iterdir()} >= {"current", "previous"}


@pytest.mark.parametrize(("link", "level"), [("current", "problem"), ("previous", "warning")])
def test_a_damaged_bundle_is_worse_when_it_is_in_use(models: Path, tmp_path: Path, link: str, level: str) -> None:
    damaged = (models / link).resolve() / "model.onnx"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    found = check_models(TINY, tmp_path)
    assert [finding.level for finding in found if "model.onnx" in finding.seen] == [level]


def test_a_model_for_another_stream_is_a_problem(models: Path, tmp_path: Path) -> None:
    assert (models / "current").exists()
    other = AssetSection.model_validate({"id": "press", "rate_hz": 2000, "window": {"length": 64, "hop": 64}})
    assert any(finding.level == "problem" and "rate_hz" in finding.seen for finding in check_models(other, tmp_path))


def test_a_link_to_nowhere_is_a_problem(models: Path, tmp_path: Path) -> None:
    (models / "current").unlink()
    (models / "current").symlink_to("model-gone")
    assert any(finding.level == "problem" and "model-gone" in finding.seen for finding in check_models(TINY, tmp_path))


def test_a_model_that_does_not_know_the_healthy_class_is_a_warning(models: Path, tmp_path: Path) -> None:
    assert (models / "current").exists()
    other = TINY.model_copy(update={"rest_class": "good"})
    [found] = [finding for finding in check_models(other, tmp_path) if finding.level == "warning"]
    assert "no class is 'good'" in found.seen
    assert "rest_class" in found.seen

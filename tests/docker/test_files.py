"""What the container files say agrees with the package and with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from edgetune_nas.card import FORMAT
from edgetune_node.config.settings import load_settings

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
COMPOSE = "".join((ROOT / "docker" / name).read_text() for name in ("compose.yaml", "compose.tls.yaml"))


def test_the_image_is_labelled_with_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"ARG VERSION={project['version']}\n" in DOCKERFILE


def test_the_image_is_labelled_with_the_format_of_its_bundles() -> None:
    assert f'LABEL io.edgetune.bundle-format="{FORMAT}" ' in DOCKERFILE


def test_one_service_alone_builds_the_image_so_that_no_up_recreates_the_others() -> None:
    assert len(re.findall(r"^ +build:", COMPOSE, re.MULTILINE)) == 1
    assert re.search(r"^  node:\n    <<: \*node\n    pull_policy: missing\n    build:\n", COMPOSE, re.MULTILINE)
    assert len(re.findall(r"image: \$\{EDGETUNE_IMAGE.*\n +pull_policy: never", COMPOSE)) == COMPOSE.count(
        "{EDGETUNE_IMAGE"
    )


def test_building_asks_no_registry_for_a_dockerfile_syntax() -> None:
    assert re.search(r"^#\s*syntax\s*=", DOCKERFILE, re.MULTILINE) is None


def test_the_example_of_env_lists_every_variable_of_the_compose_files_with_its_default() -> None:
    used = dict(re.findall(r"(?<!\$)\$\{(\w+)(?::?-([^}]*))?\}", COMPOSE))
    of_the_shell = {"TERM", "OMP_NUM_THREADS"}
    listed = dict(re.findall(r"^#(\w+)=(.*)$", (ROOT / "docker" / ".env.example").read_text(), re.MULTILINE))
    assert listed == {name: default for name, default in used.items() if name not in of_the_shell}


def test_the_configuration_in_the_containers_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGETUNE_MQTT__USERNAME", "node")
    monkeypatch.setenv("EDGETUNE_NODE__NAMESPACE", "acme/line3")
    settings = load_settings(ROOT / "docker" / "node.toml")
    assert (settings.node.namespace, settings.mqtt.username) == ("acme/line3", "node")
    memory = re.search(r"EDGETUNE_NODE_MEMORY:-(\d+)m", COMPOSE)
    assert memory is not None
    assert settings.asset[0].search_max_rss_bytes < int(memory[1]) * 2**20


def test_no_password_stands_in_the_files() -> None:
    for file in (ROOT / "docker").glob("**/*"):
        if file.is_file() and file.suffix != ".whl":
            assert re.search(r"(?i)(password|secret|token)\s*[=:]\s*['\"]?[a-z0-9]{8,}", file.read_text()) is None, file

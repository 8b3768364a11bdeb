"""What depends on what: imports point one way, and a running node carries nothing it does not need."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("signal", "nas", "node")
FOR_OLDER_PLUG_INS = {
    ("edgetune_signal.source", "edgetune_signal.sources.base"),
    ("edgetune_signal.testing", "edgetune_signal.sources.conformance"),
    ("edgetune_signal.types", "edgetune_signal.stream.types"),
}


def imported(file: Path) -> set[str]:
    """Dotted names of the modules that a file imports from."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def room(module: str) -> str | None:
    """The room that a module is in: ``edgetune_nas.model`` of ``edgetune_nas.model.cost``."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0].startswith("edgetune_") and len(parts) > 2 else None


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_room_is_entered_by_its_face(folder: str) -> None:
    files = {
        ".".join(file.relative_to(ROOT / folder).with_suffix("").parts): file for file in (ROOT / folder).rglob("*.py")
    }
    assert files
    inside = {
        (module, name)
        for module, file in files.items()
        for name in imported(file)
        if room(name) is not None and room(name) != room(module)
    }
    assert {each for each in inside if each not in FOR_OLDER_PLUG_INS} == set()


def test_every_name_of_a_face_is_there() -> None:
    stubs = [stub for folder in FOLDERS for stub in (ROOT / folder).rglob("__init__.pyi")]
    assert len(stubs) > len(FOLDERS)
    for stub in stubs:
        face = importlib.import_module(".".join(stub.parent.relative_to(ROOT).parts[1:]))
        assert face.__all__
        assert [name for name in face.__all__ if not hasattr(face, name)] == []


def test_nothing_of_the_node_imports_torch() -> None:
    assert [
        file.name
        for file in (ROOT / "node").rglob("*.py")
        if "torch" in {name.partition(".")[0] for name in imported(file)}
    ] == []


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("edgetune_node", {"torch", "onnx", "scipy", "matplotlib", "onnxruntime", "paho"}),
        ("edgetune_node.runtime.service", {"torch", "onnx", "scipy", "matplotlib"}),
        ("edgetune_nas", {"torch", "onnx", "scipy", "matplotlib", "onnxruntime"}),
        ("edgetune_signal", {"torch", "onnx", "scipy", "matplotlib", "onnxruntime"}),
    ],
)
def test_a_process_loads_only_what_it_needs(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert module.partition(".")[0] in loaded
    assert absent & set(loaded) == set()


def test_the_signal_folder_never_shadows_the_standard_library() -> None:
    assert not (ROOT / "signal" / "__init__.py").exists()


def test_every_module_keeps_to_four_hundred_lines() -> None:
    sizes = {
        file.name: len(file.read_text(encoding="utf-8").splitlines())
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*.py")
    }
    assert {name: size for name, size in sizes.items() if size > 400} == {}


def test_plug_ins_written_against_version_0_1_0_find_what_they_import() -> None:
    source, testing, types = (
        importlib.import_module(f"edgetune_signal.{name}") for name in ("source", "testing", "types")
    )
    stream, sources = (
        importlib.import_module("edgetune_signal.stream"),
        importlib.import_module("edgetune_signal.sources"),
    )
    assert (types.Chunk, types.StreamSpec, types.Window) == (stream.Chunk, stream.StreamSpec, stream.Window)
    assert source.Source is sources.Source
    assert len(testing.CHECKS) > 1
    assert {"check_source", "read_chunk", "sending"} <= set(testing.__all__)

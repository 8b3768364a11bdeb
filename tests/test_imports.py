"""What depends on what: imports point one way, and a running node carries nothing it does not need."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "signal": {"edgetune_nas", "edgetune_node"},
    "nas": {"edgetune_node"},
    "node": set[str](),
}


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("folder", sorted(FORBIDDEN))
def test_imports_point_from_node_to_nas_to_signal(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert {file.name: found for file in files if (found := imported(file) & FORBIDDEN[folder])} == {}


def test_no_modules_import_each_other_in_a_circle() -> None:
    modules = {
        ".".join(file.relative_to(ROOT / folder).with_suffix("").parts).removesuffix(".__init__"): file
        for folder in FORBIDDEN
        for file in (ROOT / folder).rglob("*.py")
    }
    imports: dict[str, set[str]] = {}
    for module, file in modules.items():
        found = imports[module] = set[str]()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in modules:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= inner & modules.keys() or {node.module}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names} & modules.keys()
    assert len(list(TopologicalSorter(imports).static_order())) == len(modules)


def test_nothing_of_the_node_imports_torch() -> None:
    assert [file.name for file in (ROOT / "node").rglob("*.py") if "torch" in imported(file)] == []


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
        for folder in FORBIDDEN
        for file in (ROOT / folder).rglob("*.py")
    }
    assert {name: size for name, size in sizes.items() if size > 400} == {}

"""Holds the schemas against those of the last release: fields are added, none is removed or given another meaning.

``released/`` is never made anew; a release adds a folder of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgetune_node.contract.schemas import generate

if TYPE_CHECKING:
    from collections.abc import Iterator

RELEASED = Path(__file__).parent / "released" / "0.1.0"
NAMES = sorted(path.name for path in RELEASED.glob("*.json"))
INPUTS = {name for name in NAMES if name.startswith("cmd-") or name == "context.json"}
"""What nodes read: every payload that was taken must still be taken. The others must still be understood."""


def version(schema: dict[str, Any]) -> str | None:
    name: str | None = schema["properties"].get("schema", {}).get("const")
    return name


def resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = root["$defs"][schema["$ref"].rpartition("/")[2]]
    return found


def kinds(schema: dict[str, Any], root: dict[str, Any]) -> set[str]:
    """Types that a value may have, ``any`` where there is no limit."""
    schema = resolved(schema, root)
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return set().union(*(kinds(option, root) for option in options))
    found = schema.get("type", "string" if "enum" in schema or "const" in schema else "any")
    return set(found) if isinstance(found, list) else {found}


def words(schema: dict[str, Any], root: dict[str, Any]) -> set[Any] | None:
    """Words of a closed list; None where any may stand."""
    schema = resolved(schema, root)
    for option in schema.get("anyOf") or ():
        found = words(option, root)
        if found is not None:
            return found
    if "const" in schema:
        return {schema["const"]}
    return set(schema["enum"]) if "enum" in schema else None


def objects(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any] | None:
    """Schema of the object that a value, or an item of it, is; None where it is none."""
    schema = resolved(schema, root)
    if "properties" in schema:
        return schema
    for option in [*(schema.get("anyOf") or ()), *(schema[key] for key in ("items",) if key in schema)]:
        found = objects(option, root)
        if found is not None:
            return found
    more = schema.get("additionalProperties")
    return objects(more, root) if isinstance(more, dict) else None


def breaks(
    old: dict[str, Any], new: dict[str, Any], roots: tuple[dict[str, Any], dict[str, Any]], *, read: bool
) -> Iterator[str]:
    """Return what keeps those who know ``old`` from going on; ``read`` of what a node reads, else of what it says."""
    for name, before in old["properties"].items():
        after = new["properties"].get(name)
        if after is None:
            yield f"{name}: is gone"
            continue
        was, is_now = kinds(before, roots[0]), kinds(after, roots[1])
        if "any" not in (was | is_now) and not (
            was <= is_now if read else is_now <= (was | {"integer"} if "number" in was else was)
        ):
            yield f"{name}: was {sorted(was)} and is {sorted(is_now)}"
        listed, list_now = words(before, roots[0]), words(after, roots[1])
        if read and list_now is not None and not (listed is not None and listed <= list_now):
            yield f"{name}: takes {list_now} and took {listed or 'anything'}"
        if not read and listed is not None and not (list_now is not None and list_now <= listed):
            yield f"{name}: is of {list_now} and was of {listed}"
        inner, inner_now = objects(before, roots[0]), objects(after, roots[1])
        if inner is not None and inner_now is not None:
            yield from (f"{name}.{problem}" for problem in breaks(inner, inner_now, roots, read=read))
    required, required_now = set(old.get("required", [])), set(new.get("required", []))
    if read:
        yield from (f"{name}: must be given now" for name in sorted(required_now - required))
    else:
        yield from (f"{name}: may be missing now" for name in sorted(required - required_now))


def problems(name: str, new: dict[str, Any]) -> list[str]:
    old = json.loads((RELEASED / name).read_text(encoding="utf-8"))
    return list(breaks(old, new, (old, new), read=name in INPUTS))


@pytest.mark.parametrize("name", NAMES)
def test_who_knows_the_last_release_understands_what_keeps_its_version(name: str) -> None:
    new = generate().get(name)
    assert new is not None, f"{name} is gone"
    old = json.loads((RELEASED / name).read_text(encoding="utf-8"))
    if version(old) == version(new):
        assert problems(name, new) == []
    else:
        leaf, _, number = str(version(old)).partition("/")
        assert version(new) == f"{leaf}/{int(number) + 1}"
        assert set(old["properties"]) <= set(new["properties"]), "a new version keeps the names of the one before"


def test_the_comparison_finds_what_breaks_readers() -> None:
    found = problems("fault.json", generate()["fault.json"])
    assert any(problem.startswith("class: was ['string']") for problem in found)
    assert any(problem.startswith("severity: is of ") for problem in found)
    vibration = generate()["vibration.json"]
    del vibration["properties"]["rms"]
    vibration["required"].remove("unit")
    assert problems("vibration.json", vibration) == ["rms: is gone", "unit: may be missing now"]
    shelve = generate()["cmd-shelve.json"]
    shelve["required"].append("comment")
    assert problems("cmd-shelve.json", shelve) == ["comment: must be given now"]

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def test_all_documents_are_printed_as_one_object(cli: Any) -> None:
    ended = cli("schema")
    assert ended.code == 0
    documents = json.loads(ended.out)
    assert documents["asyncapi.json"]["asyncapi"] == "3.1.0"
    assert "fault.json" in documents
    assert "cmd-recalibrate.json" in documents


def test_each_document_is_written_into_its_file(cli: Any, tmp_path: Path) -> None:
    ended = cli("schema", "--out", tmp_path / "new")
    assert ended.code == 0
    written = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert sorted(line.rpartition("/")[2] for line in ended.out.splitlines()) == written
    assert json.loads((tmp_path / "new" / "fault.json").read_text())["title"] == "Fault"


def test_a_folder_that_cannot_be_made_is_a_message(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = cli("schema", "--out", tmp_path / "file")
    assert ended.code == 1
    assert "cannot be written" in ended.err

"""``[sparkplug]``: the node as an edge node of Sparkplug B."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

SparkplugName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[^+#/\x00-\x20\x7f-\x9f]([^+#/\x00-\x1f\x7f-\x9f]*[^+#/\x00-\x20\x7f-\x9f])?$",
    ),
]
"""A level of a topic that every broker and every access list takes."""


class SparkplugSection(BaseModel):
    """``[sparkplug]``: present means that the node is an edge node of ``group``; it waits for ``primary_host``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    group: SparkplugName
    primary_host: SparkplugName | None = None

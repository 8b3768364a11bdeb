"""What each property of the contract means: description and example, put into the schemas for other people's tools.

A field may have both beside it (``Field(description=..., examples=[...])``); what stands there wins. Units follow from
names, as ``_bytes`` and ``_hz``. The running node never imports this.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from edgetune_node.contract.message_words import MESSAGE_WORDS

Words: TypeAlias = dict[str, tuple[str, Any]]

UNIT: Final = "x-unit"
UNITS: Final = {
    "_mm_s_per_h": "(mm/s)/h",
    "_per_minute_of_rest": "1/min",
    "_per_month": "1/month",
    "_mm_s": "mm/s",
    "_bytes": "B",
    "_percent": "%",
    "_rpm": "rpm",
    "_hz": "Hz",
    "_us": "us",
    "_c": "degC",
    "_s": "s",
}
"""Units by the end of a name, the longest first."""
UNITS_OF_NAMES: Final = {
    "percent": "%",
    "seconds": "s",
    "seconds_per_take": "s",
    "rest_seconds": "s",
    "search_seconds": "s",
    "healthy_seconds": "s",
    "waveform_length": "unit/s",
    "zero_crossings": "1/s",
}
MODEL: Final = "20260131t120000-19e8ed86"
TIME: Final = "2026-01-31T12:00:00.000Z"
EVERY_MESSAGE: Final[Words] = {
    "schema": ("Name and version of the payload's form.", None),
    "ts": ("When it happened, UTC.", TIME),
    "boot": ("Name of the life of the node's process; another one after each start.", "d4483bd8"),
    "seq": ("Number of the message on its topic in this life of the process, from 0.", 17),
    "clock_synced": ("Whether the node's clock was set; if not, `ts` may be wrong.", True),
    "historical": ("Whether it waited while the broker was away; it is then not the present state.", False),
}
EVERY_COMMAND: Final[Words] = {
    "id": ("Name of the command, of the sender's choice; answers repeat it. A second time it starts nothing.", "c-42"),
    "expires": ("Time with a zone after which the node refuses the command.", "2026-01-31T12:05:00Z"),
}
COMMAND_WORDS: Final[dict[str, Words]] = {
    "Acknowledge": {
        "event": (
            "Event that was seen, so that no newer one is acknowledged; the present one if null.",
            "d01904cb6d2e",
        ),
        "by": ("Who has seen it.", "anna"),
        "comment": ("What is to be known of it.", "bearing ordered"),
    },
    "BackupCommand": {
        "keep": ("Number of backups that stay in all, this one included.", 3),
    },
    "Shelve": {
        "seconds": ("For how long; a week at most, 0 ends it.", 3600.0),
        "by": ("Who wants it.", "anna"),
        "class": ("Class of the faults that alarm nobody; the active one's if null.", "inner"),
        "comment": ("Why.", "bearing ordered"),
    },
    "LabelCommand": {
        "label": ("Class of the recordings that are made.", "outer"),
        "seconds": ("The last seconds of the stream; or give `event`.", 8.0),
        "event": ("Novel fault or unknown sign whose kept signal is labelled; or give `seconds`.", "0952da6affb4"),
    },
    "Profile": {
        "subject": ("Who wears the sensor, or which machine it is on; unchanged if null.", "anna"),
        "condition": ("Condition that recordings are marked with from now on; unchanged if null.", "left_arm"),
    },
    "Forget": {"subject": ("Who is erased.", "anna")},
    "Deploy": {
        "model": ("Id of a model of the store, or name of a folder in `data_dir/incoming`.", MODEL),
        "point": ("Number of a network in that model's `front`; the model itself if null.", 2),
    },
    "Record": {
        "label": ("Class that is heard now.", "normal"),
        "seconds": ("Length of the recording.", 5.0),
    },
    "CaptureCommand": {
        "event": ("Fault whose kept signal is wanted; or give `now`.", "d01904cb6d2e"),
        "now": ("True keeps and sends the signal around this moment.", False),
        "number": ("Which signal of the event, 0 for that of its raise; the newest if null.", 0),
        "before_s": ("With `now`: how much of what was heard.", 10.0),
        "after_s": ("With `now`: how much of what is heard next.", 10.0),
        "samples": ("Whether the answer has the waveform.", True),
    },
    "History": {
        "from": ("Time with a zone of the first row; all that is kept if null.", "2026-01-01T00:00:00Z"),
        "to": ("Time with a zone of the end; now if null.", "2026-02-01T00:00:00Z"),
        "step": ("What is averaged over; the finest that gives 2,000 rows at most if null.", "hour"),
        "figures": ("Figures that are wanted; all if empty.", ["rms", "distance"]),
    },
    "Recalibrate": {
        "source": ("`live` collects the listed classes, `stored` takes what is on the node.", "live"),
        "classes": ("Classes that are collected; with `live` only.", ["normal", "inner"]),
        "takes": ("Recordings of each class.", 1),
        "seconds_per_take": ("Length of each recording.", 5.0),
        "pace": ("Whether a take waits for `cmd/continue` or starts by itself after `countdown_s`.", "continue"),
        "countdown_s": ("Time before each take, with `pace` `countdown`.", 3.0),
        "rest_seconds": ("Rest with slight movements after a person's takes; null: 30 unless stored.", 30.0),
        "budget": ("Limits of the new network; what it does not name comes from the configuration.", None),
        "deploy": ("When the new model is put into use.", "if_better"),
        "accept_zone": ("Whether data in ISO zone C or D is taken as healthy.", False),
    },
    "BudgetWish": {
        "ram_bytes": ("Arena at int8, at most; no limit if null.", 4096),
        "flash_bytes": ("Weights at int8, at most; no limit if null.", 32_768),
        "macs": ("Multiply-accumulate operations of a window, at most; no limit if null.", 1_000_000),
        "search_seconds": ("Time that the search may take.", 60.0),
    },
    "Context": {
        "shaft_rpm": ("Speed of the shaft.", 1772.0),
        "load": ("Load, in a unit of the plant's own.", 0.5),
        "running": ("Whether the machine runs; while it does not, nothing is judged.", True),
    },
}
LEFT_OUT: Final = {"LabelCommand": {"event"}, "CaptureCommand": {"now"}}
"""Properties that an example cannot have beside the others."""


def describe(document: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON Schema whose properties have description, unit and example, those of its definitions too."""
    definitions = {name: _described(name, schema) for name, schema in document.get("$defs", {}).items()}
    described = _described(str(document.get("title", "")), document)
    return described | ({"$defs": definitions} if definitions else {})


def example_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return an example of a described schema's object, put together from those of its properties."""
    left_out = LEFT_OUT.get(str(document.get("title", "")), set())
    properties = document.get("properties", {})
    shown = {name: each for name, each in properties.items() if "examples" in each and name not in left_out}
    return {name: each["examples"][0] for name, each in shown.items()}


def _described(model: str, schema: dict[str, Any]) -> dict[str, Any]:
    if "properties" not in schema:
        return schema
    properties = {name: _property(model, name, each) for name, each in schema["properties"].items()}
    return {**schema, "properties": properties}


def _property(model: str, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    own = MESSAGE_WORDS.get(model) or COMMAND_WORDS.get(model, {})
    shared = EVERY_COMMAND if model in COMMAND_WORDS or "id" not in own else {}
    words: dict[str, Any] = {}
    found = own.get(name) or EVERY_MESSAGE.get(name) or shared.get(name)
    if found is not None:
        description, example = found
        words["examples"] = [schema.get("const") if name == "schema" else example]
        words |= {"description": description} if description else {}
    unit = UNITS_OF_NAMES.get(name, next((unit for end, unit in UNITS.items() if name.endswith(end)), ""))
    return {**words, **schema, **({UNIT: unit} if unit else {})}

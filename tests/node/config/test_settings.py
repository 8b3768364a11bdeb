from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from configuring import SMALL, load, problems_of
from pydantic import BaseModel

from edgetune_node.config.settings import AssetSection, Settings, SourceSection, WindowSection, load_settings
from edgetune_node.errors import ConfigError
from edgetune_signal.vibration.condition_indicators import IndicatorBuffer

EXAMPLE = Path(__file__).resolve().parents[3] / "config.example.toml"


# ---- the example -------------------------------------------------------------------------------------------------


def sections(model: type[BaseModel], table: str) -> dict[str, type[BaseModel]]:
    """Every table of the file and the model that reads it."""
    found = {table: model}
    for name, field in model.model_fields.items():
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                found |= sections(inner, f"{table}.{name}" if table else name)
    return found


def uncommented() -> str:
    """The example with every commented setting switched on."""
    return re.sub(r"(?m)^#(?=[\w\[])", "", EXAMPLE.read_text(encoding="utf-8"))


def lookup(content: dict[str, Any], table: str) -> dict[str, Any]:
    value: Any = content
    for part in table.split("."):
        value = value[part]
        value = value[0] if isinstance(value, list) else value
    assert isinstance(value, dict)
    return value


TABLES = {table: model for table, model in sections(Settings, "").items() if table}


def test_the_example_is_valid_as_it_stands() -> None:
    settings = load_settings(EXAMPLE)
    assert [asset.id for asset in settings.asset] == ["bearing1"]
    assert settings.asset[0].source.type == "mqtt"


def test_the_example_has_every_table() -> None:
    assert set(TABLES) == {
        "node",
        "mqtt",
        "mqtt.tls",
        "search",
        "sparkplug",
        "home_assistant",
        "metrics",
        "asset",
        "asset.window",
        "asset.source",
        "asset.source.duty",
        "asset.machine",
        "asset.alarm",
        "asset.sign",
        "asset.budget",
    }


@pytest.mark.parametrize("table", sorted(TABLES))
def test_the_example_shows_every_setting_at_its_default(table: str) -> None:
    model = TABLES[table]
    shown = lookup(tomllib.loads(uncommented()), table)
    inner = {name.removeprefix(f"{table}.") for name in TABLES if name.startswith(f"{table}.")}
    assert set(model.model_fields) - inner == set(shown) - inner
    for name, value in shown.items():
        default = model.model_fields[name].get_default()
        if name not in inner and not model.model_fields[name].is_required() and default is not None:
            assert value == (str(default) if isinstance(default, Path) else default), f"{table}.{name}"


def test_the_example_is_valid_with_every_setting_switched_on(tmp_path: Path) -> None:
    settings = load(tmp_path, uncommented())
    assert settings.mqtt.tls is not None
    assert settings.asset[0].budget == AssetSection(id="x", rate_hz=100).budget


@pytest.mark.parametrize(("kind", "assets"), [("replay", 1), ("simulated", 1), ("armband1", 2)])
def test_the_alternatives_in_the_example_are_valid(tmp_path: Path, kind: str, assets: int) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    blocks = re.findall(r"(?m)(?:^#(?:   .*)?\n)+", text)
    (block,) = [block for block in blocks if f'"{kind}"' in block and (assets == 2) == ("[[asset]]" in block)]
    switched_on = re.sub(r"(?m)^#", "", block)
    settings = load(tmp_path, text.replace(block, switched_on))
    assert len(settings.asset) == assets
    if assets == 1:
        assert settings.asset[0].source.type == kind
        assert settings.asset[0].source.options["block_s"] == 0.02
    else:
        assert (settings.asset[1].task, settings.asset[1].channels) == ("sign", 8)


# ---- what is wrong -----------------------------------------------------------------------------------------------


def test_every_error_is_named_at_once(tmp_path: Path) -> None:
    found = problems_of(
        tmp_path,
        """
        [node]
        id = "edge 1"
        namespace = "a//b"
        [mqtt]
        port = 70000
        protocol = "4"
        hots = "x"
        [[asset]]
        id = "status"
        rate_hz = 0
        [asset.alarm]
        votes = 11
        [[asset]]
        id = "b"
        task = "dance"
        """,
    )
    assert [problem.split(": ")[0] for problem in found] == [
        "node.id",
        "node.namespace",
        "mqtt.port",
        "mqtt.protocol",
        "mqtt.hots",
        "asset.0.id",
        "asset.0.rate_hz",
        "asset.0.alarm",
        "asset.1.task",
        "asset.1.rate_hz",
    ]


def test_a_missing_file_says_what_to_start_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.example\.toml"):
        load_settings(tmp_path / "absent.toml")


@pytest.mark.parametrize("text", ["node = ", "[node", "\x00"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, text: str) -> None:
    assert "is not TOML" in problems_of(tmp_path, text)[0]


def test_a_byte_order_mark_before_the_file_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert load_settings(path).node.id == "edge1"


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_settings(path)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (SMALL[SMALL.index("[[") :], "node"),
        ('[node]\nid = "e"\n', "asset"),
        ('asset = []\n[node]\nid = "e"\n', "asset"),
        (SMALL + SMALL[SMALL.index("[[") :], "asset"),
        (SMALL + '[asset.alarm]\nseverity = {inner = "bad"}\n', "asset.0.alarm.severity.inner"),
        (SMALL + "[asset.alarm]\nvotes = 2\nclear_votes = 3\n", "asset.0.alarm"),
        (SMALL + "[asset.source]\nduty = { on_s = 10, every_s = 10 }\n", "asset.0.source.duty"),
        (SMALL + "[asset.window]\nlength = 0\n", "asset.0.window.length"),
        (SMALL + "[asset.budget]\nram_bytes = 0\n", "asset.0.budget.ram_bytes"),
        (SMALL + "[mqtt.tls]\nkey_file = 'k'\n", "mqtt.tls"),
        (SMALL.replace("12000", "nan"), "asset.0.rate_hz"),
        (SMALL.replace("12000", "0.001"), "asset.0.rate_hz"),
        (SMALL.replace("12000", "8"), "asset.0"),
        (
            SMALL + "[asset.window]\nhop = 1_000_000\n[[asset]]\nid = 'b'\nrate_hz = 200\nwindow.hop = 1_000_000\n",
            "asset.1",
        ),
        (SMALL + "[mqtt]\nsession_expiry_s = 4_294_967_296\n", "mqtt.session_expiry_s"),
        (SMALL + "[mqtt]\npassword = 'p'\n", "mqtt.password"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, field: str) -> None:
    assert [problem.split(": ")[0] for problem in problems_of(tmp_path, text)] == [field]


def test_the_lowest_rate_of_all_can_be_monitored() -> None:
    section = AssetSection(id="a", rate_hz=2, window=WindowSection(length=120))
    IndicatorBuffer(section.spec, seconds=1.0)


def test_a_window_that_takes_too_long_is_told_with_the_longest_there_may_be(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, SMALL.replace("12000", "8"))
    assert problem.startswith("asset.0: window.length: 512 samples at 8 Hz are 64 s")
    assert "give 480 or less" in problem


def test_a_password_of_nobody_names_the_user_that_is_missing(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, SMALL + "[mqtt]\npassword = 'hunter2'\n")
    assert "mqtt.username" in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "namespace", ["", "a+b", "a/#", "/a", "a/", "a//b", "$SYS", "a\\u0000", "a\\nuser evil", " a", "a "]
)
def test_a_namespace_that_is_no_topic_is_refused(tmp_path: Path, namespace: str) -> None:
    text = SMALL.replace('id = "edge1"', f'id = "edge1"\nnamespace = "{namespace}"')
    assert problems_of(tmp_path, text)[0].startswith("node.namespace")


def test_an_asset_knows_its_healthy_class_and_its_stream() -> None:
    assert AssetSection(id="a", rate_hz=100).healthy_class == "normal"
    assert AssetSection(id="a", rate_hz=100, task="sign").healthy_class == "rest"
    assert AssetSection(id="a", rate_hz=100, rest_class="good").healthy_class == "good"
    spec = AssetSection(id="a", rate_hz=200, channels=8, unit="counts").spec
    assert (spec.channels, spec.rate_hz, spec.unit) == (8, 200.0, "counts")


def test_options_of_a_source_are_everything_but_its_type() -> None:
    assert SourceSection.model_validate({"type": "replay", "path": "x", "loop": True}).options == {
        "path": "x",
        "loop": True,
    }


def test_a_search_has_workers_here_or_on_a_cluster(tmp_path: Path) -> None:
    assert load(tmp_path, SMALL + "[search]\nworkers = 3\n").search.workers == 3
    assert load(tmp_path, SMALL + '[search]\ncluster = "tcp://10.0.0.5:8786"\n').search.workers == 1
    both = problems_of(tmp_path, SMALL + '[search]\nworkers = 2\ncluster = "tcp://10.0.0.5:8786"\n')
    assert "not both" in both[0]
    assert "search.cluster" in problems_of(tmp_path, SMALL + '[search]\ncluster = "10.0.0.5"\n')[0]


def test_a_device_in_the_place_of_the_configuration_does_not_fill_the_memory() -> None:
    with pytest.raises(ConfigError, match="cannot be read: File too large"):
        load_settings(Path("/dev/zero"))


def test_an_empty_file_lacks_a_node_and_an_asset(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "") == ["node: is missing", "asset: is missing"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (SMALL + "[mqttt]\nhost = 'b'\n", "mqttt: is not known here; did you mean mqtt?"),
        (SMALL + "[mqtt]\nhots = 'b'\n", "mqtt.hots: is not known here; did you mean host?"),
        (SMALL + "[asset.alarm]\nlatsh = true\n", "asset.0.alarm.latsh: is not known here; did you mean latch?"),
        (
            SMALL + "[asset.source]\nduty = { on = 9 }\n",
            "asset.0.source.duty.on: is not known here; did you mean on_s?",
        ),
        (SMALL + "[sparkplug]\ngrup = 'b'\n", "sparkplug.grup: is not known here; did you mean group?"),
        (SMALL + "[dashboard]\n", "dashboard: is not known here; remove it, or look for its right place"),
    ],
)
def test_of_an_unknown_setting_the_nearest_is_named(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in problems_of(tmp_path, text)


# ---- settings of before ------------------------------------------------------------------------------------------


def test_the_votes_of_0_1_0_become_seconds_and_it_is_told_which(tmp_path: Path) -> None:
    asset = load(tmp_path, SMALL + "[asset.alarm]\nvotes = 16\nwindow = 20\nlatch = true\n").asset[0]
    assert (asset.alarm.raise_after_s, asset.alarm.clear_after_s, asset.alarm.latch) == (0.6827, 0.768, True)
    assert "alarm.votes, window of version 0.1.0" in asset.replaced
    assert "raise_after_s = 0.6827, clear_after_s = 0.768" in asset.replaced
    assert load(tmp_path, SMALL).asset[0].replaced == ""


def test_the_hop_counts_where_votes_become_seconds(tmp_path: Path) -> None:
    text = SMALL + "[asset.window]\nhop = 12000\n[asset.alarm]\nclear_votes = 1\n"
    alarm = load(tmp_path, text).asset[0].alarm
    assert (alarm.raise_after_s, alarm.clear_after_s) == (8.0, 10.0)


@pytest.mark.parametrize(
    ("alarm", "problem"),
    [
        ("votes = 8\nraise_after_s = 3.0", "votes counted windows, and raise_after_s replaces that; leave out votes"),
        ("votes = 11", "needs clear_votes <= votes <= window, not 3, 11, 10"),
        ("votes = 2.5", "votes must be a whole number of 1 or more, not 2.5"),
        ("window = 0", "window must be a whole number of 1 or more, not 0"),
    ],
)
def test_votes_that_contradict_themselves_are_refused(tmp_path: Path, alarm: str, problem: str) -> None:
    (found,) = problems_of(tmp_path, SMALL + f"[asset.alarm]\n{alarm}\n")
    assert found.startswith("asset.0.alarm: ")
    assert problem in found

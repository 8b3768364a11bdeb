"""The report: one page that needs nothing else, in which names stay harmless."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from dataclasses import asdict
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from bundles import search_summary

from edgetune_nas.bundle.report import render, render_apart, unbeaten
from edgetune_nas.card import Budget, Cost, FrontPoint, InputSpec, Measured, Metrics, ModelCard
from edgetune_nas.errors import BundleError

EVIL = "<script>alert('$x^2$')</script>"


def _card(classes: list[str], *, replaced: bool = False) -> ModelCard:
    count = len(classes)
    metrics = Metrics(
        accuracy=0.9876,
        accuracy_low=0.97,
        accuracy_high=0.995,
        macro_f1=0.98,
        calibration_error=0.02,
        windows=320,
        confusion=[[30 if row == column else row % 2 for column in range(count)] for row in range(count)],
        accuracy_by_condition={"1797 rpm": 0.99, "1772 rpm": 0.97},
    )
    measured = Measured(
        ort_peak_bytes=9000, session_rss_bytes=0, latency_p50_us=40.5, latency_p99_us=90.0, onnx_bytes=12345
    )
    return ModelCard(
        id="20260301t101500-3f2a",
        created=datetime(2026, 3, 1, 10, 15, tzinfo=UTC),
        task="fault",
        classes=classes,
        input=InputSpec(channels=1, length=512, rate_hz=12000, unit="g"),
        layers=["conv 128/32 x 12, relu", "global average", f"dense x {count}", "softmax"],
        cost=Cost(
            arena_bytes=720,
            arena_bytes_deployed=2880,
            streamed_bytes=336,
            arena_rule="tflm-greedy-16/1",
            flash_bytes=2500,
            macs=28028,
            parameters=1862,
        ),
        measured={"float": measured, "int8": measured},
        deployed="float",
        deployed_because="int8 gives float's label on 98.0% of 320 validation windows, fewer than the 99.5% it must",
        metrics=metrics,
        replaced=metrics if replaced else None,
        budget=Budget(ram_bytes=1024),
        search=search_summary(
            candidates=40, rejected=10, trained=16, seconds=20.5, peak_rss_bytes=350_000_000, validation_accuracy=0.99
        ),
        data_fingerprint="ab" * 32,
        sha256={},
        versions={},
    )


FRONT = (FrontPoint(544, 0.9, False, ("a",)), FrontPoint(720, 0.99, True, ("b",)))


def _pictures(page: str) -> list[str]:
    return [base64.b64decode(found).decode() for found in re.findall(r"data:image/svg\+xml;base64,([^']+)'", page)]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                assert value is not None
                assert value.startswith("data:")


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = render(_card(["normal", "inner"]), FRONT, (2.0, 1.0, 0.5))
    tags = _Tags()
    tags.feed(page)
    assert not {"script", "link", "iframe", "object"} & set(tags.names)
    assert "@import" not in page
    assert "url(" not in page
    for picture in _pictures(page):
        ET.fromstring(picture)  # noqa: S314 - our own


def test_names_from_the_data_stay_text() -> None:
    page = render(_card(["normal", EVIL]), FRONT, ())
    assert "<script" not in page
    confusion = _pictures(page)[1]
    assert "<script" not in confusion
    assert "&lt;script&gt;" in confusion


@pytest.mark.parametrize(("curve", "pictures"), [((), 2), ((2.0, 1.0), 3)])
def test_a_solved_network_has_no_training_curve(curve: tuple[float, ...], pictures: int) -> None:
    assert len(_pictures(render(_card(["a", "b"]), FRONT, curve))) == pictures


def test_the_page_says_how_good_how_large_and_why_that_precision() -> None:
    page = render(_card(["a", "b"], replaced=True), FRONT, ())
    assert "98.76%" in page
    assert "720 bytes" in page
    assert "fewer than the 99.5% it must" in page
    assert "replaced model" in page
    assert "accuracy, 1772 rpm" in page
    assert "conv 128/32 x 12, relu" in page


def test_a_search_without_training_is_said_so() -> None:
    note = "torch is not installed: only closed forms were searched"
    card = _card(["a", "b"])
    assert note not in render(card, FRONT, ())
    assert note in render(card.model_copy(update={"notes": {"training": note}}), FRONT, ())


def test_the_line_of_the_front_holds_no_point_that_another_beats() -> None:
    small, beaten, large = (
        FrontPoint(3248, 0.969, False, ("a",)),
        FrontPoint(3360, 0.954, True, ("b",)),
        FrontPoint(4000, 0.98, True, ("c",)),
    )
    assert unbeaten((beaten, large, small)) == [small, large]
    picture = _pictures(render(_card(["a", "b"]), (small, beaten, large), ()))[0]
    assert "trained, beaten" in picture
    assert "beaten" not in _pictures(render(_card(["a", "b"]), (small, large), ()))[0]


def test_memory_too_small_to_be_seen_is_not_called_zero() -> None:
    page = render(_card(["a", "b"]), FRONT, ())
    assert "<td>session rss bytes</td><td>not measurable</td>" in page


def test_many_classes_and_a_front_of_one_point_are_drawn() -> None:
    page = render(_card([f"class {index}" for index in range(40)]), FRONT[:1], (1.0, 0.9))
    assert len(_pictures(page)) == 3


def test_the_same_card_gives_the_same_page() -> None:
    card = _card(["a", "b"])
    assert render(card, FRONT, (1.0, 0.5)) == render(card, FRONT, (1.0, 0.5))


def test_a_page_drawn_by_a_process_of_its_own_is_the_same() -> None:
    points = [{**asdict(point), "layers": list(point.layers)} for point in FRONT]
    card = _card(["normal", EVIL]).model_copy(update={"notes": {"front": points}})
    assert render_apart(card, (2.0, 1.0)) == render(card, FRONT, (2.0, 1.0))


def test_a_page_that_cannot_be_drawn_is_an_error_that_says_why() -> None:
    card = _card(["normal", "inner"]).model_copy(update={"notes": {"front": [{"surprise": 1}]}})
    with pytest.raises(BundleError, match=r"could not be drawn: \S"):
        render_apart(card, ())


def test_the_report_of_a_cancelled_search_is_made_here_and_has_no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgetune_nas.bundle.report.subprocess", None)
    card = _card(["a", "b"])
    card = card.model_copy(update={"search": card.search.model_copy(update={"stopped_by": "cancelled"})})
    page = render_apart(card, (0.5, 0.4))
    assert "<img" not in page
    assert "the search was cancelled" in page
    assert "98.76%" in page
    assert "<img" in render(_card(["a", "b"]), (), (0.5, 0.4))


@pytest.mark.parametrize("accuracies", [(1.0,), (0.9, 1.0), (0.999, 1.0)])
def test_no_axis_goes_beyond_all_windows_right(accuracies: tuple[float, ...]) -> None:
    card = _card(["a", "b"])
    card = card.model_copy(update={"search": card.search.model_copy(update={"validation_accuracy": 1.0})})
    front = [FrontPoint(500 + 100 * at, value, True, ("b",)) for at, value in enumerate(accuracies)]
    picture = _pictures(render(card, front, ()))[0]
    axis = picture.partition('id="matplotlib.axis_2"')[2]
    ticks = [float(found) for found in re.findall(r">([\d.]+)</text>", axis.partition("accuracy")[0])]
    assert max(ticks) == 100

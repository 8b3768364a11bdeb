"""The operator's side: ``edgetune recalibrate`` and ``edgetune record`` start a job on a node and follow it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from edgetune_nas.bundle import TESTED_ON, accuracy_sentence
from edgetune_nas.card import FrontNetwork
from edgetune_nas.search import short_time
from edgetune_node.cli.remote.progress import open_progress, request
from edgetune_node.contract import COMMANDS, Command, Context, Recalibrate, problems
from edgetune_node.errors import NodeError
from edgetune_node.operator import FollowedJob, NoReplyError, OperatorClient, Target, follow, summary, takes_target
from edgetune_node.terminal import InputLines, parse_count, parse_seconds, parse_seconds_or_none, parse_size
from edgetune_signal import did_you_mean

if TYPE_CHECKING:
    from edgetune_node.cli.remote.progress import Progress
    from edgetune_node.contract import Topics

FIND_S = 5.0
UNRETAINED_S = 15.0
"""Seconds a node is waited for where the broker retains nothing: it says what it is with ``health``, every 10 s."""
ACCEPT_S = 10.0
LAST_WORD_S = 5.0
CANCEL_S = 20.0
OFFLINE_S = 60.0
SETTLE_S = 0.5
POLL_S = 0.1
FOLLOWED = ("calibration", "model")


class NodeOfflineError(NodeError):
    """The node is not there."""


@takes_target
def recalibrate(
    target: Target,
    *,
    source: Annotated[
        Literal["live", "stored"] | None,
        typer.Option(help="Collect now, or use the node's recordings. (default: live with --classes)"),
    ] = None,
    classes: Annotated[str, typer.Option(help="Classes to collect, such as normal,inner,outer.")] = "",
    takes: Annotated[int, typer.Option(help="Recordings of each class.")] = 1,
    seconds_per_take: Annotated[
        float | None, typer.Option(parser=parse_seconds, metavar="TIME", help="Length of each. (default: 5s)")
    ] = None,
    pace: Annotated[
        Literal["continue", "countdown"], typer.Option(help="Each take waits for you, or starts by itself.")
    ] = "continue",
    countdown: Annotated[
        float | None, typer.Option(parser=parse_seconds_or_none, metavar="TIME", help="Time before each take.")
    ] = None,
    rest: Annotated[
        float | None,
        typer.Option(
            parser=parse_seconds_or_none,
            metavar="TIME",
            help="Of signs: rest with slight movements after the takes, 0 for none. (default: 30s unless stored)",
        ),
    ] = None,
    ram: Annotated[
        int | None, typer.Option(parser=parse_size, metavar="SIZE", help="Most bytes of arena, such as 4KiB.")
    ] = None,
    flash: Annotated[int | None, typer.Option(parser=parse_size, metavar="SIZE", help="Most bytes of weights.")] = None,
    macs: Annotated[
        int | None, typer.Option(parser=parse_count, metavar="COUNT", help="Most operations a window.")
    ] = None,
    time_: Annotated[
        float | None, typer.Option("--time", parser=parse_seconds, metavar="TIME", help="Longest search.")
    ] = None,
    deploy: Annotated[
        Literal["if_better", "always", "never"], typer.Option(help="When the new model is put into use.")
    ] = "if_better",
    accept_zone: Annotated[
        bool, typer.Option("--accept-zone", help="Take data in ISO zone C or D as healthy.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Start each take without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    timeout: Annotated[
        float | None, typer.Option(parser=parse_seconds, metavar="TIME", help="Stop following after this time.")
    ] = None,
) -> None:
    """Make a node design itself a new model, and follow it until it is in use.

    What the budget does not say comes from the node's configuration. Ctrl-C cancels the job; the old model stays.
    """
    named = [name.strip() for name in classes.split(",") if name.strip()]
    budget = {"ram_bytes": ram, "flash_bytes": flash, "macs": macs, "search_seconds": time_}
    fields: dict[str, Any] = {
        "source": source or ("live" if named else "stored"),
        "classes": named,
        "takes": takes,
        "seconds_per_take": seconds_per_take,
        "pace": "countdown" if countdown is not None else pace,
        "countdown_s": countdown,
        "rest_seconds": rest,
        "deploy": deploy,
        "accept_zone": accept_zone or None,
        "budget": {name: value for name, value in budget.items() if value is not None} or None,
    }
    check(Recalibrate, fields)
    if time_ is not None and (warning := short_time(time_)):
        sys.stderr.write(f"edgetune: warning: {warning}\n")
    operate(target, "recalibrate", fields, yes=yes, as_json=as_json, timeout=timeout)


@takes_target
def record(
    target: Target,
    *,
    label: Annotated[str, typer.Option(help="Class of what happens now.")],
    seconds: Annotated[float, typer.Option(parser=parse_seconds, metavar="TIME", help="How long to record.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    timeout: Annotated[
        float | None, typer.Option(parser=parse_seconds, metavar="TIME", help="Stop following after this time.")
    ] = None,
) -> None:
    """Make a node keep a labelled recording of what it hears now."""
    operate(target, "record", {"label": label, "seconds": seconds}, as_json=as_json, timeout=timeout)


def find_asset(client: OperatorClient, topics: Topics, asset: str | None) -> str:
    """Wait for a node that is online, and choose its asset.

    Parameters
    ----------
    client
        Connected to the node's broker.
    topics
        The node's.
    asset
        The asset asked for; None takes the only one.

    Returns
    -------
    str
        The asset's id.

    Raises
    ------
    NodeOfflineError
        The node is not there.
    typer.BadParameter
        It has no such asset, or several and none was asked for.
    """
    client.subscribe(topics.node("status"), topics.node("info"))
    status = info = None
    for topic, payload in client.messages(FIND_S if client.limits.retain else UNRETAINED_S):
        if topic == topics.node("status"):
            status = payload.get("status")
        elif topic == topics.node("info"):
            info = payload
        if status == "online" and info is not None:
            break
        if status is not None and status != "online":
            raise NodeOfflineError(f"node {topics.base} is {status}; start it there with `edgetune run`")
    if status is None:
        raise NodeOfflineError(
            f"no node {topics.base} on this broker; check --namespace and --node (edgetune watch shows the nodes)"
        )
    assets = [str(item.get("id")) for item in (info or {}).get("assets", [])]
    if asset is None and len(assets) == 1:
        return assets[0]
    if asset is None and info is None:
        raise NodeOfflineError(f"node {topics.base} is online, but did not say its assets in time; give --asset")
    if asset is None:
        raise typer.BadParameter(f"which asset? node {topics.base} has {', '.join(assets)}; give --asset")
    if assets and asset not in assets:
        raise typer.BadParameter(
            f"node {topics.base} has no asset {asset!r}; it has {', '.join(assets)}{did_you_mean(asset, assets)}"
        )
    return asset


def check(model: type[Command | Context], fields: dict[str, Any]) -> None:
    """Find what the node would refuse before anything is sent."""
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        model.model_validate({"id": "check", **given})
    except ValidationError as error:
        reasons = [problem.removeprefix("payload: ") for problem in problems(error)]  # on a command line there is none
        raise typer.BadParameter("; ".join(reasons)) from None


def operate(
    target: Target, name: str, fields: dict[str, Any], *, yes: bool = False, as_json: bool, timeout: float | None
) -> None:
    """Send a command, follow it to its end and say that; `typer.Exit` where it comes to nothing."""
    check(COMMANDS[name], fields)
    started = time.monotonic()
    job = FollowedJob(id="", command=name)
    try:
        with OperatorClient(target.mqtt, target.topics) as client:
            client.asset = find_asset(client, target.topics, target.asset)
            client.subscribe(*(target.topics.asset(client.asset, leaf) for leaf in FOLLOWED))
            job = FollowedJob(id=client.send(name, **fields), command=name)
            with open_progress(Console(stderr=True)) as progress:
                job = Follower(client, progress, yes=yes, timeout=timeout).run(job)
    except NodeError as error:
        job = replace(job, status="failed", reason=str(error))
    result = summary(job, time.monotonic() - started)
    for warning in result["warnings"]:
        sys.stderr.write(f"edgetune: warning: {warning}\n")
    if as_json:
        sys.stdout.write(json.dumps(result) + "\n")
    elif job.status == "done":
        sys.stdout.write(_sentence(job, result) + "\n")
        sys.stdout.writelines(f"{line}\n" for line in _front(job, result))
    if job.status != "done":
        sys.stderr.write(f"edgetune: {name} {job.status}: {job.reason or 'no reason given'}\n")
        raise typer.Exit(1)


class Follower:
    """Follows one job to its end, and says ``continue`` where the operator does.

    Parameters
    ----------
    client
        Subscribed to the job's topics.
    progress
        Where the job is shown.
    yes
        Start every take without asking.
    timeout
        Seconds after which it is no longer followed; None never.
    """

    def __init__(self, client: OperatorClient, progress: Progress, *, yes: bool, timeout: float | None) -> None:
        self._client = client
        self._progress = progress
        self._yes = yes
        self._timeout = timeout
        self._input = InputLines() if not yes and sys.stdin is not None and sys.stdin.isatty() else None
        self._waiting: tuple[str | None, int | None] | None = None
        self._due = 0.0
        self._asked = ""

    def run(self, job: FollowedJob) -> FollowedJob:
        """Follow ``job``; Ctrl-C cancels it."""
        started = time.monotonic()
        try:
            job = self._until_end(job, started, self._timeout)
        except KeyboardInterrupt:
            self._progress.note("cancelling; Ctrl-C again leaves the job alone")
            self._client.send("cancel")
            job = self._until_end(job, time.monotonic(), CANCEL_S)
        return self._last_word(job)

    def _until_end(self, job: FollowedJob, started: float, timeout: float | None) -> FollowedJob:
        offline_since: float | None = None
        while not job.ended:
            if job.waiting_for is None or self._yes or not job.online:
                self._progress.update(job)
            now = time.monotonic()
            if timeout is not None and now - started > timeout:
                raise NoReplyError(f"not finished after {timeout:g} s; the job goes on, edgetune watch shows it")
            if job.status == "sent" and now - started > ACCEPT_S:
                raise NoReplyError(f"the node did not answer within {ACCEPT_S:g} s, though its status is online")
            offline_since = None if job.online else offline_since or now
            if offline_since is not None and now - offline_since > OFFLINE_S:
                raise NodeOfflineError(f"the node has been offline for {OFFLINE_S:g} s; see what it logged there")
            self._operate(job, now)
            job = self._take(job, POLL_S)
        if job.status != "rejected":
            self._progress.update(job)
        return job

    def _last_word(self, job: FollowedJob) -> FollowedJob:
        """Wait for the final reply, which has the details, where the calibration topic said the end first."""
        deadline = time.monotonic() + LAST_WORD_S
        while not job.answered and time.monotonic() < deadline:
            job = self._take(job, POLL_S)
        return job

    def _take(self, job: FollowedJob, seconds: float) -> FollowedJob:
        item = next(self._client.messages(seconds), None)
        if item is None:
            return job
        topic, payload = item
        if self._asked and payload.get("id") == self._asked and payload.get("status") == "rejected":
            self._progress.note(f"continue was rejected: {payload.get('reason')}")
            self._asked = ""
        return follow(job, topic, payload)

    def _operate(self, job: FollowedJob, now: float) -> None:
        lines = self._input.poll() if self._input else []
        waiting = job.waiting_for if job.online else None  # a node that comes back is asked again
        if waiting != self._waiting:
            self._waiting, self._due = waiting, now + SETTLE_S
            if self._waiting and not self._yes:
                how = "press Enter" if self._input else "send cmd/continue (or start this with --yes)"
                self._progress.ask(f"{request(job)} ({how})".strip())
            lines = []
        if self._waiting and (lines or (self._yes and now >= self._due)):
            self._due = float("inf")
            self._asked = self._client.send("continue")


def _accuracy(result: dict[str, Any]) -> str:
    count, known = result["recordings"], result["tested_on"]
    return accuracy_sentence(
        result["accuracy"],
        (result["accuracy_low"], result["accuracy_high"]),
        known if known in TESTED_ON else None,  # a newer node may know other tests
        windows="" if count is None else f"{count} recording{'s' * (count > 1)}",
        in_parts=result["tested_in_parts"] or (),
    )


def _front(job: FollowedJob, result: dict[str, Any]) -> list[str]:
    """Return what else a search has found, for `edgetune deploy --point`; nothing where it is one network alone."""
    try:
        front = TypeAdapter(list[FrontNetwork]).validate_python(result.get("front", []))
    except ValidationError:  # of a node that says it otherwise
        return []
    if job.command != "recalibrate" or len(front) < 2:  # noqa: PLR2004 - none to choose from
        return []
    return [
        f"networks of this search (edgetune deploy --model {result['model']} --point NUMBER):",
        *(
            f"  {each.point}: {each.validation_accuracy:.1%} on validation data, arena {each.arena_bytes:,} bytes, "
            f"flash {each.flash_bytes:,} bytes, {each.macs:,} operations a window"
            f"{', chosen by the search' if each.point == 0 else ''}"
            for each in sorted(front, key=lambda each: each.arena_bytes)
        ),
    ]


def _sentence(job: FollowedJob, result: dict[str, Any]) -> str:
    parts = [f"{job.command} done in {result['seconds']:.0f} s"]
    if job.reason:
        parts.append(job.reason)
    if result["model"]:
        figures = [f"model {result['model']}"]
        if result["accuracy"] is not None:
            figures.append(f"accuracy {_accuracy(result)}")
        if result.get("kind") == "health":
            figures.append(f"health model, {result['false_alarms']:.1%} of held-out health over its limit")
        if result["arena_bytes"] is not None:
            deployed = result["arena_bytes_deployed"]
            as_deployed = "" if deployed is None else f" ({deployed:,} as deployed)"
            figures.append(f"arena {result['arena_bytes']:,} bytes{as_deployed}")
        figures.append("in use" if result["deployed"] else "not put into use")
        parts.append(", ".join(figures))
    if "stored" in result:
        parts.append(f"files: {', '.join(result['stored']['recordings'])}")
    return "; ".join(parts)

"""One command of the contract each: sent to a node, and followed until it is answered."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from edgetune_node.cli.remote.answers import TIMEOUT_S
from edgetune_node.cli.remote.jobs import ACCEPT_S, check, find_asset, operate
from edgetune_node.contract import Context
from edgetune_node.errors import NodeError
from edgetune_node.operator import OperatorClient, Target, takes_target
from edgetune_node.terminal import json_errors, parse_seconds, print_json

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _zero_or_time(text: str) -> float:
    return 0.0 if text == "0" else parse_seconds(text)


@takes_target
def shelve(
    target: Target,
    *,
    seconds: Annotated[
        float, typer.Option(parser=_zero_or_time, metavar="TIME", help="For how long, a week at most; 0 ends it.")
    ],
    by: Annotated[str, typer.Option(metavar="NAME", help="Who wants it.")],
    class_: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Class of the faults (default: the active one).")
    ] = None,
    comment: Annotated[str | None, typer.Option(metavar="TEXT", help="Why.")] = None,
    as_json: Json = False,
) -> None:
    """Keep faults of one class from alarming anybody for a time."""
    fields = {"seconds": seconds, "by": by, "class": class_, "comment": comment}
    operate(target, "shelve", fields, as_json=as_json, timeout=TIMEOUT_S)


@takes_target
def rollback(target: Target, *, as_json: Json = False) -> None:
    """Go back to the previous model; again to return."""
    operate(target, "rollback", {}, as_json=as_json, timeout=TIMEOUT_S)


@takes_target
def deploy(
    target: Target,
    *,
    model: Annotated[str, typer.Option(metavar="ID", help="A model of the node's store, or a folder of `incoming`.")],
    point: Annotated[
        int | None,
        typer.Option(metavar="NUMBER", help="Instead of it another network of its search: a number of its `front`."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a bundle into use that the node has, or another network of the search that made it."""
    operate(target, "deploy", {"model": model, "point": point}, as_json=as_json, timeout=TIMEOUT_S)


@takes_target
def cancel(target: Target, *, as_json: Json = False) -> None:
    """End the running job; recordings and the old model stay."""
    operate(target, "cancel", {}, as_json=as_json, timeout=TIMEOUT_S)


@takes_target
def continue_(target: Target, *, as_json: Json = False) -> None:
    """Start the take that a calibration waits for."""
    operate(target, "continue", {}, as_json=as_json, timeout=TIMEOUT_S)


@takes_target
def profile(
    target: Target,
    *,
    subject: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who wears the sensor, or which machine it is on.")
    ] = None,
    condition: Annotated[
        str | None, typer.Option(metavar="NAME", help="Under which condition, for recordings from now on.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Start each take without asking.")] = False,
    timeout: Annotated[
        float | None, typer.Option(parser=parse_seconds, metavar="TIME", help="Stop following after this time.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Change who wears the sensor, and under which condition.

    A person's own model is in use at once. Somebody who has none is calibrated, guided, where others are known.
    """
    if subject is None and condition is None:
        raise typer.BadParameter("give --subject or --condition")
    operate(target, "profile", {"subject": subject, "condition": condition}, yes=yes, as_json=as_json, timeout=timeout)


@takes_target
def ping(target: Target, *, as_json: Json = False) -> None:
    """Ask a node whether it answers; print its version and how long it has run."""
    with json_errors(wanted=as_json), OperatorClient(target.mqtt, target.topics) as client:
        answer = client.wait_reply(client.send("ping"), timeout=ACCEPT_S)
        if answer["status"] != "done":
            raise NodeError(f"{target.topics.base} {answer['status']}: {answer.get('reason') or 'no reason given'}")
    if as_json:
        print_json({"status": answer["status"], **answer["detail"]})
        return
    version, uptime_s = answer["detail"].get("version"), answer["detail"].get("uptime_s")
    typer.echo(f"{target.topics.base} answers: edgetune {version}, running for {uptime_s} s")


@takes_target
def context(
    target: Target,
    *,
    shaft_rpm: Annotated[float | None, typer.Option(metavar="RPM", help="Speed of the shaft.")] = None,
    load: Annotated[float | None, typer.Option(metavar="NUMBER", help="Load, in a unit of the plant's own.")] = None,
    running: Annotated[
        bool | None, typer.Option("--running/--stopped", help="Whether the machine runs; while not, nothing is judged.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take back what was said before.")] = False,
    as_json: Json = False,
) -> None:
    """Publish what the plant knows of a machine: speed, load, whether it runs.

    It replaces what was said before, and stays at the broker (retained) until it is said anew or cleared.
    """
    fields = {"shaft_rpm": shaft_rpm, "load": load, "running": running}
    given = {name: value for name, value in fields.items() if value is not None}
    if bool(given) == clear:
        raise typer.BadParameter("give --shaft-rpm, --load, --running or --stopped; or --clear alone")
    check(Context, given)
    with json_errors(wanted=as_json), OperatorClient(target.mqtt, target.topics) as client:
        topic = target.topics.asset(find_asset(client, target.topics, target.asset), "context")
        client.publish(topic, json.dumps(given).encode() if given else b"", retain=True)
    if as_json:
        print_json({"topic": topic, "context": given})
    else:
        typer.echo(f"{topic}: {json.dumps(given) if given else 'cleared'}")

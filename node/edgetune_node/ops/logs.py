"""Logs: structlog to stderr, as lines for people on a terminal and as JSON elsewhere."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import structlog

from edgetune_node.contract import Fault, Model, Response
from edgetune_node.events import Durability
from edgetune_node.ops.log_writer import STDERR, LogStream, LogWriter

if TYPE_CHECKING:
    from edgetune_node.events import Publish

log = structlog.get_logger()


class _QueueLogger:
    """What structlog hands a rendered entry to."""

    def __init__(self, writer: LogWriter) -> None:
        self._writer = writer

    def msg(self, message: str) -> None:
        self._writer.write(message + "\n")

    debug = info = warning = error = critical = msg


def configure(*, verbose: bool = False) -> LogWriter:
    """Send every log entry of this process, and all that is printed to `sys.stderr`, to stderr through a queue."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    people = os.isatty(STDERR)
    last = structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer()
    errors = [] if people else [structlog.processors.format_exc_info]
    writer = LogWriter()
    structlog.configure(
        processors=[*shared, *errors, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=lambda *_: _QueueLogger(writer),
        cache_logger_on_first_use=True,
    )
    sys.stderr = LogStream(writer)  # a warning or a traceback must not wait for the log's reader either
    return writer


def log_rare(effect: Publish) -> None:
    """Leave a trace of what rarely happens: faults, models and answers."""
    message = effect.message
    if effect.durability is not Durability.RARE:
        return
    match message:
        case Fault():
            log.info(
                "fault",
                topic=effect.topic,
                active=message.active,
                class_=message.class_,
                severity=message.severity,
                event_id=message.event,
            )
        case Model():
            log.info("model", topic=effect.topic, id=message.id, arena_bytes=message.arena_bytes)
        case Response():
            log.info("answer", topic=effect.topic, id=message.id, status=message.status, reason=message.reason)

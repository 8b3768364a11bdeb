"""Logs: structlog to stderr, as lines for people on a terminal and as JSON elsewhere."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

from edgetune_node.events import Durability
from edgetune_node.messages import Fault, Model, Response

if TYPE_CHECKING:
    from edgetune_node.events import Publish

log = structlog.get_logger()


def configure(*, verbose: bool = False) -> None:
    """Send every log entry of this process to stderr."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    people = sys.stderr.isatty()
    last = structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer()
    errors = [] if people else [structlog.processors.format_exc_info]
    structlog.configure(
        processors=[*shared, *errors, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def log_rare(effect: Publish) -> None:
    """Leave a trace of what rarely happens: faults, models and answers."""
    message = effect.message
    if effect.durability is not Durability.RARE:
        return
    match message:
        case Fault():
            log.info("fault", topic=effect.topic, active=message.active, class_=message.class_, event_id=message.event)
        case Model():
            log.info("model", topic=effect.topic, id=message.id, arena_bytes=message.arena_bytes)
        case Response():
            log.info("answer", topic=effect.topic, id=message.id, status=message.status, reason=message.reason)

"""What can go wrong in a node.

NodeError
├── ConfigError      the configuration is wrong (every problem is named); exit code 2
├── CommandError     a command is refused (every problem is named)
├── Refused          what was asked for cannot be done now
├── PayloadError     a payload is not what its topic takes
├── StoreError       the model store cannot do what was asked
├── BackupError      a backup cannot be made or restored
└── OutboxError      the outbox file cannot be used
"""

from __future__ import annotations


class NodeError(Exception):
    """Base of every error of this package; the message says what, where and what to do."""


class ConfigError(NodeError):
    """The configuration is wrong.

    Attributes
    ----------
    problems
        One sentence per problem, each starting with the setting's name.
    """

    def __init__(self, where: str, problems: list[str]) -> None:
        self.where = where
        self.problems = problems
        super().__init__(f"{where}:\n" + "\n".join(f"  {problem}" for problem in problems))


class CommandError(NodeError):
    """A command is refused.

    Attributes
    ----------
    command
        Last level of its topic.
    command_id
        Its ``id`` where one could be read.
    problems
        One sentence per problem.
    """

    def __init__(self, command: str, command_id: str | None, problems: list[str]) -> None:
        self.command = command
        self.command_id = command_id
        self.problems = problems
        super().__init__(f"{command}: " + "; ".join(problems))


class Refused(NodeError):  # noqa: N818 - an answer, not a defect
    """What was asked for cannot be done; the message says why, and what to do."""


class PayloadError(NodeError):
    """A payload is not what its topic takes; the message says why."""


class StoreError(NodeError):
    """The model store cannot do what was asked."""


class BackupError(NodeError):
    """A backup cannot be made or restored; the message says why."""


class OutboxError(NodeError):
    """The outbox file cannot be used."""

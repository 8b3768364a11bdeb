"""Whose models an asset uses: a model store for each person, and who wears the sensor now, remembered over restarts."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from edgetune_node.contract import Label
from edgetune_node.errors import StoreError
from edgetune_node.events import ModelReady
from edgetune_node.storage.models import ModelStore
from edgetune_signal.durable import replacing, sync

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_nas.bundle import Bundle
    from edgetune_node.config import AssetSection
    from edgetune_node.events import Install

log = structlog.get_logger()

WEARER_FILE = "wearer.json"
TEMPORARY = f".tmp-{WEARER_FILE}"
"""A kill while the former is written leaves the latter; the next start removes it."""
PEOPLE = "people"


class _Wearer(BaseModel):
    model_config = ConfigDict(extra="ignore")
    subject: Label


class Profiles:
    """The people of one asset.

    The person of the configuration has the folder ``models``, every other one ``people/<person>/models``.

    Parameters
    ----------
    folder
        The asset's folder.
    section
        Its configuration.

    Attributes
    ----------
    subject
        Who wears the sensor; of a machine what the configuration says.
    store
        That person's models.
    problem
        Why it is not known who wore it last; empty where it is.
    """

    def __init__(self, folder: Path, section: AssetSection) -> None:
        self._folder = folder
        self._section = section
        self.problem = ""
        with suppress(OSError):
            (folder / TEMPORARY).unlink(missing_ok=True)
        self.subject = self._remembered()
        self.store = self._store_of(self.subject)

    def switch(self, subject: str) -> ModelStore:
        """Remember that ``subject`` wears the sensor now, and give their models.

        Raises
        ------
        StoreError
            Where it cannot be remembered; nothing has changed then.
        """
        try:
            store = self._store_of(subject)
            self._note(subject)
        except OSError as error:
            path = self._folder / WEARER_FILE
            raise StoreError(f"{path} cannot be written: {error.strerror}; free some space or check rights") from error
        self.subject, self.store = subject, store
        return store

    def erase(self, subject: str) -> int:
        """Delete a person's models and their folder; return the number of models.

        The sensor is worn by the person of the configuration then, if the one erased wore it. Doing it again is no
        error.

        Raises
        ------
        StoreError
            It cannot be remembered who wears the sensor; nothing was deleted then.
        OSError
            Something cannot be deleted.
        """
        if subject == self.subject != self._section.subject:
            self.switch(self._section.subject)
        erased = (self.store if subject == self.subject else self._store_of(subject)).erase()
        folder = self._folder / PEOPLE / subject
        if folder.is_dir():
            shutil.rmtree(folder)
            sync(folder.parent)
        return erased

    def models_of_others(self, subject: str) -> list[Path]:
        """Return the folders of models of everybody but ``subject``."""
        own = self._store_of(subject).folder
        return [folder for folder in model_folders(self._folder) if folder != own]

    def missing(self) -> list[Path]:
        """Return what was deleted of who wears the sensor and of the model in use."""
        model, wearer = self.store.missing(), self._folder / WEARER_FILE
        missing = [] if model is None else [model]
        return missing if self._wearer_is_noted() else [*missing, wearer]

    def restore(self) -> str | None:
        """Write again who wears the sensor and the model in use, where they were deleted; return that model's id.

        Raises
        ------
        BundleError, OSError
            Where they cannot be written.
        """
        if not self._wearer_is_noted():
            self._note(self.subject)
        self.store.folder.mkdir(parents=True, exist_ok=True)
        return self.store.restore()

    def open(self) -> tuple[Bundle | None, list[str]]:
        """Load the model in use; the warnings say what was wrong."""
        bundle, warnings = self.store.open_current()
        return bundle, [*([self.problem] if self.problem else []), *warnings]

    @property
    def people(self) -> bool:
        """Whether there are people at all."""
        return self._section.personal

    def _wearer_is_noted(self) -> bool:
        return self.subject == self._section.subject or (self._folder / WEARER_FILE).exists()

    def _note(self, subject: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with replacing(self._folder / WEARER_FILE, self._folder / TEMPORARY) as file:
            file.write(json.dumps({"subject": subject}).encode())

    def _store_of(self, subject: str) -> ModelStore:
        section = self._section
        folder = self._folder if subject == section.subject else self._folder / PEOPLE / subject
        return ModelStore(folder / "models", section.spec, section.window.length, section.task)

    def _remembered(self) -> str:
        path = self._folder / WEARER_FILE
        if not self._section.personal or not path.exists():
            return self._section.subject
        try:
            return _Wearer.model_validate_json(path.read_bytes()).subject
        except (OSError, ValidationError):
            self.problem = f"{path} cannot be read, so that nobody knows who wore it last; publish cmd/profile"
            return self._section.subject


def worn(wanted: Install, profiles: Profiles) -> ModelReady:
    """Let another person wear the sensor; a damaged model of theirs is told, and they begin anew."""
    subject = wanted.name or ""
    store = profiles.switch(subject)
    bundle, warnings = store.open_current()
    for warning in warnings:
        log.warning("model store", asset=wanted.asset, subject=subject, problem=warning)
    return ModelReady(wanted.asset, wanted.job, bundle, store.previous_id(), subject=subject)


def model_folders(folder: Path) -> list[Path]:
    """Return the folders of models of all people of an asset, whose folder is ``folder``."""
    return [folder / "models", *sorted((folder / PEOPLE).glob("*/models"))]

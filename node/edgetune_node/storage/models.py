"""The model store of one asset: bundles, and links that say which one is current and which one was before."""

from __future__ import annotations

import os
import shutil
import threading
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

from edgetune_nas.bundle import CARD, TEMPORARY_PREFIX, Bundle, load_bundle, origin, pick, read_card, write_folder
from edgetune_nas.errors import BundleError
from edgetune_node.contract import NO_CLASSES
from edgetune_node.errors import StoreError
from edgetune_signal.durable import sync

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from edgetune_nas.card import Task
    from edgetune_signal import StreamSpec

KEPT = 5
_TEMPORARY = ".tmp-"
_REPLACED = ".replaced"
"""A link to the model that gives way, there while the other two are changed."""


class ModelStore:
    """Bundles under ``folder``, with the links ``current`` and ``previous`` swapped atomically.

    Parameters
    ----------
    folder
        Made when something is put into it. Half-copied bundles of a power cut are removed, half-changed links mended.
    spec, length, task
        The stream's specification, window length and task; a bundle that does not fit is refused.
    """

    def __init__(self, folder: Path, spec: StreamSpec, length: int, task: Task) -> None:
        self.folder = folder
        self._spec = spec
        self._length = length
        self._task = task
        self._changing = threading.Lock()
        self._in_use: tuple[str, dict[str, bytes]] | None = None
        for leftover in (*folder.glob(f"{_TEMPORARY}*"), *folder.glob(f"{TEMPORARY_PREFIX}*")):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
        self._finish_change()

    def current(self) -> Path | None:
        """Folder of the model in use."""
        return self._target("current")

    def previous(self) -> Path | None:
        """Folder of the model in use before."""
        return self._target("previous")

    def previous_id(self) -> str | None:
        """Id of the model in use before."""
        folder = self.previous()
        return None if folder is None else folder.name.removeprefix("model-")

    def models(self) -> list[Path]:
        """Folders of all bundles, oldest first."""
        return sorted(path for path in self.folder.glob("model-*") if path.is_dir())

    def open(self, folder: Path) -> Bundle:
        """Load a bundle, hashes verified, fit to the stream checked.

        Raises
        ------
        BundleError
            Saying what is wrong with it.
        """
        bundle = load_bundle(folder)
        bundle.check_fits(
            channels=self._spec.channels, length=self._length, rate_hz=self._spec.rate_hz, unit=self._spec.unit
        )
        if bundle.card.task != self._task:
            raise BundleError(f"{folder.name} is for task {bundle.card.task!r}, this asset has task {self._task!r}")
        if taken := [name for name in NO_CLASSES if name in bundle.card.classes]:
            raise BundleError(f"{folder.name} has a class called {taken[0]!r}, which is what a node says by itself")
        return bundle

    def open_current(self) -> tuple[Bundle | None, list[str]]:
        """Load the model in use, or the one before where that is damaged; the warnings say what was wrong."""
        warnings = []
        for name in ("current", "previous"):
            folder = self._target(name)
            if folder is None:
                if os.path.lexists(self.folder / name):
                    warnings.append(f"{self.folder / name} names no model")
                continue
            try:
                bundle = self.open(folder)
                if name == "previous":
                    self._link("current", folder)
                self._remember(bundle)
            except (BundleError, OSError) as error:
                warnings.append(f"{name} model refused: {error}")
                continue
            return bundle, warnings
        return None, warnings

    def install(self, bundle: Path) -> Bundle:
        """Make ``bundle`` the current model; a folder outside the store is copied in.

        Raises
        ------
        BundleError
            Where it is damaged or does not fit; the current model stays.
        StoreError
            Where it cannot be copied (disk full); nothing half-copied stays.
        """
        with self._changing:
            return self._install(bundle)

    def keep(self, bundle: Path) -> Path:
        """Move a bundle into the store without using it, so that it can be deployed later; give its new place.

        Raises
        ------
        OSError
            Where it cannot be moved.
        """
        with self._changing:
            target = self.folder / bundle.name
            self.folder.mkdir(parents=True, exist_ok=True)
            bundle.rename(target)
            sync(self.folder)
            self._prune(target)
        return target

    def _install(self, bundle: Path) -> Bundle:
        opened = self.open(bundle)
        if bundle.resolve().parent == self.folder.resolve():
            target = bundle
        else:
            target = self.folder / f"model-{opened.card.id}"
            opened = self._take_in(opened, target)
        self._make_current(target)
        self._remember(opened)
        self._prune(target)
        return opened

    def _take_in(self, opened: Bundle, target: Path) -> Bundle:
        """Copy a bundle to ``target``; one that is there and whole may be in use, and is never taken away for that."""
        if target.exists():
            try:
                there = self.open(target)
            except BundleError:
                pass  # damaged, and of no use to anybody
            else:
                if there.card != opened.card:
                    raise StoreError(f"{opened.path} has the id of another model, {target}; do not use it")
                return there
        self._copy(opened.path, target)
        return self.open(target)

    def find(self, name: str, incoming: Path) -> Path:
        """Folder of the model called ``name``: an id of the store, or a folder in ``incoming``.

        Raises
        ------
        StoreError
            Listing what there is.
        """
        for candidate in (self.folder / name, self.folder / f"model-{name}", incoming / name):
            if (candidate / "card.json").is_file() and not candidate.is_symlink():
                return candidate
        there = ", ".join(path.name.removeprefix("model-") for path in self.models()) or "none"
        raise StoreError(f"no model is called {name!r}; the store has: {there}; new bundles go into {incoming}")

    def made_of(self, folder: Path, point: int) -> Path | None:
        """Return the whole bundle that is network ``point`` of the front which the one in ``folder`` keeps, if any.

        Raises
        ------
        BundleError
            The card in ``folder`` cannot be read.
        """
        wanted = origin(read_card(folder)), point
        for each in (folder, *self.models()):
            with suppress(BundleError):
                card = read_card(each)
                if (origin(card), card.front_point) == wanted:
                    return self.open(each).path
        return None

    def pick(self, folder: Path, point: int, created: datetime) -> Path:
        """Make a bundle in the store of a network of the front which the one in ``folder`` keeps; not current yet.

        Raises
        ------
        BundleError
            It keeps no front or no such network, is damaged or does not fit, or the bundle cannot be written.
        """
        with self._changing:
            self.open(folder)
            made = self.folder / f"model-{pick(folder, number=point, out=self.folder, created=created).id}"
            try:
                return self.open(made).path
            except BundleError:  # each try would leave another one
                shutil.rmtree(made, ignore_errors=True)
                raise

    def rollback(self) -> Bundle:
        """Make the previous model current, and the current one previous.

        Raises
        ------
        StoreError
            Where there is no previous model.
        BundleError
            Where it is damaged; the current model stays.
        """
        with self._changing:
            target = self.previous()
            if target is None:
                raise StoreError("there is no previous model to go back to")
            opened = self.open(target)
            self._make_current(target)
            self._remember(opened)
            return opened

    def missing(self) -> Path | None:
        """Return what was deleted of the model in use: the link to it, its folder or a file; None if it is whole."""
        if not self._changing.acquire(blocking=False):  # another thread swaps models just now
            return None
        try:
            return self._missing()
        finally:
            self._changing.release()

    def restore(self) -> str | None:
        """Write the model in use again where its files have been deleted; return its id where it was written.

        Raises
        ------
        BundleError, OSError
            Where it cannot be written.
        """
        with self._changing:
            if self._in_use is None or self._missing() is None:
                return None
            name, files = self._in_use
            if not all((self.folder / name / file).exists() for file in files):
                shutil.rmtree(self.folder / name, ignore_errors=True)
                write_folder(self.folder, name, {file: zlib.decompress(data) for file, data in files.items()})
            self._link("current", self.folder / name)
            return name.removeprefix("model-")

    def erase(self) -> int:
        """Delete every bundle; return their number.

        The links go first, so that after a kill no model that is half there is in use. Doing it again is no error.

        Raises
        ------
        OSError
            Something cannot be deleted.
        """
        with self._changing:
            self._in_use = None
            if not self.folder.is_dir():
                return 0
            bundles = self.models()
            for name in ("current", "previous", _REPLACED):
                (self.folder / name).unlink(missing_ok=True)
            sync(self.folder)
            for bundle in bundles:
                gone = self.folder / f"{_TEMPORARY}{bundle.name}"  # the next start deletes what a kill leaves of it
                bundle.rename(gone)
                shutil.rmtree(gone)
            sync(self.folder)
            return len(bundles)

    def _missing(self) -> Path | None:
        current = self.current()
        if self._in_use is None or (current is not None and current.name != self._in_use[0]):  # somebody chose another
            return None
        folder = self.folder / self._in_use[0]
        parts = (folder, *(folder / file for file in self._in_use[1]))
        gone = next((part for part in parts if not part.exists()), None)
        return self.folder / "current" if gone is None and current is None else gone

    def _remember(self, bundle: Bundle) -> None:
        """Keep the files of the model in use, a few ten kilobytes compressed, so that `restore` has them."""
        with suppress(OSError):  # deleted meanwhile: then the one before is restored
            files = {name: zlib.compress((bundle.path / name).read_bytes()) for name in (*bundle.card.sha256, CARD)}
            self._in_use = bundle.path.name, files

    def _make_current(self, target: Path) -> None:
        """Change both links; where that is cut off, `_finish_change` does the rest at the next start."""
        before = self.current()
        if before is not None and before.name != target.name:
            self._link(_REPLACED, before)
        self._link("current", target)
        self._finish_change()

    def _finish_change(self) -> None:
        """Make the model that gave way the previous one, where another is current."""
        replaced, current = self._target(_REPLACED), self.current()
        if replaced is not None and current is not None and replaced != current:
            self._link("previous", replaced)
        if replaced is not None:
            (self.folder / _REPLACED).unlink()

    def _target(self, name: str) -> Path | None:
        link = self.folder / name
        if not link.is_symlink():
            return None
        target = self.folder / link.readlink()
        return target if target.parent == self.folder and target.is_dir() else None

    def _link(self, name: str, target: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f"{_TEMPORARY}{name}"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target.name)
        temporary.replace(self.folder / name)
        sync(self.folder)

    def _copy(self, bundle: Path, target: Path) -> None:
        temporary = self.folder / f"{_TEMPORARY}{target.name}"
        shutil.rmtree(temporary, ignore_errors=True)
        names = [*read_card(bundle).sha256, "card.json"]
        try:
            temporary.mkdir(parents=True)
            for name in names:
                shutil.copyfile(bundle / name, temporary / name)
                sync(temporary / name)
            sync(temporary)
            if target.exists():
                shutil.rmtree(target)
            temporary.rename(target)
            sync(self.folder)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise StoreError(
                f"{bundle} cannot be copied to {target}: {error.strerror or error}; free some disk space"
            ) from None

    def _prune(self, newest: Path) -> None:
        linked = {newest.name} | {path.name for path in (self.current(), self.previous()) if path is not None}
        loose = [path for path in self.models() if path.name not in linked]
        for path in loose[: max(0, len(loose) - (KEPT - len(linked)))]:
            shutil.rmtree(path, ignore_errors=True)

"""Slow work on an asset's files, done by one thread of its own: recordings saved, the unknown kept, models changed."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import structlog

from edgetune_nas.errors import NasError
from edgetune_node.errors import NodeError
from edgetune_node.events import (
    BackupMade,
    EvidenceKept,
    EvidenceRead,
    ForgetPerson,
    HeardKept,
    Install,
    KeepEvidence,
    KeepHeard,
    KeepNovel,
    KeepTrend,
    LabelNovel,
    MakeBackup,
    ModelReady,
    NovelChanged,
    PersonForgotten,
    ReadEvidence,
    ReadTrend,
    RecordingSaved,
    SaveRecording,
    TrendKept,
    TrendRead,
)
from edgetune_node.ops import free_bytes
from edgetune_node.runtime.backing_up import make_backup, remove_interrupted, wanted_bytes
from edgetune_node.storage import (
    INCOMING,
    EvidenceStore,
    HeardFile,
    NoveltyStore,
    Profiles,
    TrendStore,
    asset_folder,
    copies,
    erase_person,
    note_sign_figures,
    worn,
)
from edgetune_signal import RecordingStore, SignalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edgetune_node.config import Settings
    from edgetune_node.events import Event
    from edgetune_node.storage import ModelStore

Work: TypeAlias = (
    SaveRecording
    | KeepNovel
    | LabelNovel
    | Install
    | KeepEvidence
    | ReadEvidence
    | KeepTrend
    | KeepHeard
    | ReadTrend
    | ForgetPerson
    | MakeBackup
)

log = structlog.get_logger()


class FileWorker:
    """The stores of each asset, and the one thread that writes them.

    Parameters
    ----------
    settings
        The configuration.
    post
        Takes what came of the work, from that thread.
    erase_name
        Erases a person of an asset from messages and logs; returns what was erased, by kind.
    snapshots
        Writes a copy of a database to a path; by the name of its file.

    Attributes
    ----------
    profiles, recordings, novel
        By asset: the people's models, what was recorded, what is kept of the unknown.
    evidence, trends, heard
        By asset: signals kept around its faults, means of each minute, and what is learned of its health.
    """

    def __init__(
        self,
        settings: Settings,
        post: Callable[[Event], object],
        erase_name: Callable[[str, str], dict[str, int]],
        snapshots: Mapping[str, Callable[[Path], object]],
    ) -> None:
        self._erase_name = erase_name
        self._snapshots = snapshots
        self._sections = {section.id: section for section in settings.asset}
        self._settings = settings
        self._data = settings.node.data_dir
        self._reserve = settings.node.disk_reserve_bytes
        self._post = post
        folders = {section.id: asset_folder(self._data, section.id) for section in settings.asset}
        self.profiles = {section.id: Profiles(folders[section.id], section) for section in settings.asset}
        self.recordings = {
            section.id: RecordingStore(folders[section.id] / "recordings", section.recordings_max_bytes)
            for section in settings.asset
        }
        self.novel = {
            section.id: NoveltyStore(folders[section.id] / "novel", section.novel_max_bytes)
            for section in settings.asset
        }
        self.evidence = {
            section.id: EvidenceStore(folders[section.id] / "evidence", section) for section in settings.asset
        }
        self.trends = {
            section.id: TrendStore(folders[section.id] / "trend", section.trend_max_bytes) for section in settings.asset
        }
        self.heard = {section.id: HeardFile(folders[section.id]) for section in settings.asset}
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="files")
        self._work: set[Future[None]] = set()
        remove_interrupted(self._data)

    def take(self, work: Work) -> None:
        """Do it later; what came of it, whatever it is, is posted."""
        if isinstance(work, MakeBackup):  # nothing else is written meanwhile
            self._later(partial(self._back_up, work), partial(BackupMade, work.job, None))
            return
        asset = work.asset
        match work:
            case SaveRecording():
                self._later(partial(self._save, work), partial(RecordingSaved, asset, work.job, None, pause=work.pause))
            case KeepNovel():
                self._later(partial(self._keep_novel, work), partial(self._novel_failed, asset, ""))
            case LabelNovel():
                self._later(partial(self._label_novel, work), partial(self._novel_failed, asset, work.job))
            case Install():
                self._later(partial(self._install, work), partial(ModelReady, asset, work.job, None, None))
            case KeepEvidence():
                self._later(partial(self._keep_evidence, work), partial(EvidenceKept, asset, work.wanted, None))
            case ReadEvidence():
                self._later(partial(self._read_evidence, work), partial(EvidenceRead, asset, work.job, None, 0))
            case KeepTrend():
                run = self._at_once if work.ending else self._later
                run(partial(self._keep_trend, work), partial(TrendKept, asset))
            case KeepHeard():
                run = self._at_once if work.ending else self._later
                run(partial(self._keep_heard, work), partial(HeardKept, asset))
            case ReadTrend():
                self._later(partial(self._read_trend, work), partial(TrendRead, asset, work.job, None, (), ()))
            case ForgetPerson():
                self._later(partial(self._forget, work), partial(self._not_forgotten, asset, work.job))

    def check_space(self, wanted: int) -> None:
        """Refuse to begin what needs ``wanted`` bytes of a disk that is nearly full.

        Raises
        ------
        NodeError
            Less than the reserve would be left, or the folder is not there.
        """
        if not all(store.folder.is_dir() for store in self.recordings.values()):
            raise NodeError(f"data_dir {self._data} is gone or replaced; health says why")
        free = free_bytes(self._data)
        if free - wanted < self._reserve:
            raise NodeError(
                f"{self._data}: {free} bytes free, {wanted} wanted and {self._reserve} kept in reserve"
                " (disk_reserve_bytes); delete recordings or old models, or use a larger disk"
            )

    def stop(self) -> None:
        """Begin nothing more."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def join(self, timeout_s: float) -> None:
        """Wait for what has begun, so long at most."""
        begun = [future for future in self._work if not future.cancelled()]  # `wait` takes a cancelled one for running
        wait(begun, timeout=timeout_s)

    def _later(self, work: Callable[[], Event], failed: Callable[[str], Event]) -> None:
        run = self._worker.submit(self._at_once, work, failed)
        self._work = {future for future in self._work if not future.done()} | {run}

    def _at_once(self, work: Callable[[], Event], failed: Callable[[str], Event]) -> None:
        try:
            event = work()
        except (SignalError, NasError, NodeError, OSError) as error:
            event = failed(str(error))
        except Exception as error:  # a job whose end nobody hears of would be busy for ever
            log.exception("file work failed")
            event = failed(repr(error))
        self._post(event)

    def _back_up(self, effect: MakeBackup) -> Event:
        self.check_space(wanted_bytes(self._data))
        return BackupMade(effect.job, make_backup(self._settings, self._snapshots, effect.now, effect.keep))

    def _save(self, effect: SaveRecording) -> Event:
        self.check_space(effect.recording.samples.nbytes)
        path = self.recordings[effect.asset].add(effect.recording)
        return RecordingSaved(effect.asset, effect.job, path, pause=effect.pause)

    def _keep_novel(self, effect: KeepNovel) -> Event:
        self.check_space(effect.recording.samples.nbytes)
        self.novel[effect.asset].keep(effect.recording, effect.distance)
        return NovelChanged(effect.asset, self.novel[effect.asset].kept())

    def _label_novel(self, effect: LabelNovel) -> Event:
        store = self.novel[effect.asset]
        self.check_space(store.largest_bytes())
        recordings = self.recordings[effect.asset]
        paths = store.label(effect.event, effect.label, recordings)
        seconds = sum(info.seconds for info in recordings.list() if info.path in paths)
        return NovelChanged(effect.asset, store.kept(), effect.job, tuple(path.name for path in paths), seconds)

    def _novel_failed(self, asset: str, job: str, reason: str) -> Event:
        return NovelChanged(asset, self.novel[asset].kept(), job, error=reason)

    def _keep_evidence(self, effect: KeepEvidence) -> Event:
        self.check_space(sum(chunk.samples.nbytes for chunk in effect.chunks))
        return EvidenceKept(effect.asset, effect.wanted, self.evidence[effect.asset].keep(effect))

    def _read_evidence(self, effect: ReadEvidence) -> Event:
        signal, count = self.evidence[effect.asset].read(effect.event, effect.number)
        return EvidenceRead(effect.asset, effect.job, signal, count)

    def _keep_trend(self, effect: KeepTrend) -> Event:
        self.check_space(len(effect.rows))
        self.trends[effect.asset].append(effect.rows)
        return TrendKept(effect.asset)

    def _keep_heard(self, effect: KeepHeard) -> Event:
        self.check_space(len(effect.content))
        self.heard[effect.asset].write(effect.content)
        return HeardKept(effect.asset)

    def _read_trend(self, effect: ReadTrend) -> Event:
        store = self.trends[effect.asset]
        step, rows = store.read(effect.since_s, effect.until_s, effect.step, effect.figures, effect.pending)
        return TrendRead(effect.asset, effect.job, step, effect.figures, rows)

    def _install(self, effect: Install) -> Event:
        store = self.profiles[effect.asset].store
        if effect.action == "profile":
            return worn(effect, self.profiles[effect.asset])
        if effect.action == "rollback":
            bundle = store.rollback()
        elif effect.bundle is not None:
            self._measure_signs(effect.asset, effect.bundle)
            bundle = store.install(effect.bundle)
        else:
            bundle = store.install(self._found(effect, store))
        return ModelReady(effect.asset, effect.job, bundle, store.previous_id())

    def _found(self, effect: Install, store: ModelStore) -> Path:
        """Return the folder of the bundle to deploy; a network of a front becomes one first."""
        found = store.find(effect.name or "", self._data / INCOMING)
        if effect.point is None:
            return found
        made = store.made_of(found, effect.point)
        if made is None:
            self.check_space(sum(file.stat().st_size for file in found.iterdir()))
            made = store.pick(found, effect.point, datetime.now(UTC))
            self._measure_signs(effect.asset, made)
        return made

    def _forget(self, effect: ForgetPerson) -> Event:
        asset, profiles = effect.asset, self.profiles[effect.asset]
        worn_by_them = effect.subject == profiles.subject
        section = self._sections[asset]
        erased, remains = erase_person(
            effect.subject,
            section,
            profiles,
            self.recordings[asset],
            novel=self.novel[asset],
            evidence=self.evidence[asset],
            trends=self.trends[asset],
        )
        erased |= self._erase_name(asset, effect.subject)
        self._post(NovelChanged(asset, self.novel[asset].kept()))
        wearing = worn(Install(asset, "", "profile", name=profiles.subject), profiles) if worn_by_them else None
        remains += copies(self._data)
        return PersonForgotten(asset, effect.job, erased, tuple(remains), model=wearing)

    def _not_forgotten(self, asset: str, job: str, reason: str) -> Event:
        return PersonForgotten(asset, job, error=f"not everything is erased: {reason}; mend it, then send forget again")

    def _measure_signs(self, asset: str, folder: Path) -> None:
        """Have a new model's card say what it does on the person's own recordings; without that it is used as well."""
        section = self._sections[asset]
        if section.task != "sign":
            return
        try:
            note_sign_figures(folder, section, self.recordings[asset], self.profiles[asset].subject)
        except (SignalError, NasError, OSError) as error:
            log.warning("signs not measured", asset=asset, problem=str(error))

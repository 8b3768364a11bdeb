"""Erases what an asset's folder has of one person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgetune_node.storage.backup import BACKUPS, REPLACED
from edgetune_node.storage.recordings import is_of

if TYPE_CHECKING:
    from pathlib import Path

    from edgetune_node.config import AssetSection
    from edgetune_node.storage.evidence import EvidenceStore
    from edgetune_node.storage.people import Profiles
    from edgetune_node.storage.trends import TrendStore
    from edgetune_node.storage.unknowns import NoveltyStore
    from edgetune_signal import RecordingStore


def copies(data: Path) -> list[str]:
    """Return what to see to where backups, or folders that a restore has replaced, hold what the node knew before."""
    found = sorted([*(data / BACKUPS).glob("*"), *data.glob(f"{REPLACED}*")])
    if not found:
        return []
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return [f"{found[0].relative_to(data)}{more} may hold this person's data from before; delete what may not stay"]


def erase_person(
    subject: str,
    section: AssetSection,
    profiles: Profiles,
    recordings: RecordingStore,
    *,
    novel: NoveltyStore,
    evidence: EvidenceStore,
    trends: TrendStore,
) -> tuple[dict[str, int], list[str]]:
    """Delete recordings, kept signals and models of a person, and the asset's trend, which does not say whose it is.

    Models go first, so that nothing recognises the person any more even if the rest fails. Everything may be done
    again.

    Parameters
    ----------
    subject
        Who is forgotten.
    section
        The asset's configuration.
    profiles, recordings, novel, evidence, trends
        The asset's stores.

    Returns
    -------
    dict
        Number of things deleted, by kind.
    list of str
        What a person has to see to.

    Raises
    ------
    StoreError, edgetune_signal.RecordingError, OSError
        Something cannot be deleted.
    """
    models = profiles.erase(subject)
    theirs = [info.path for info in recordings.list() if is_of(info, section, subject)]
    for path in theirs:
        recordings.remove(path)
    configured = subject == section.subject
    unknown_signs, strange = novel.erase(subject, nameless=configured)
    captures, damaged = evidence.erase(subject, nameless=configured)
    unread = [*(each.name for each in recordings.broken), *strange, *damaged]
    remains = [f"{name} cannot be read, so it may be this person's; look at it" for name in unread]
    if configured:
        remains.append(f"the configuration of {section.id} names this person (subject); change it")
    others = [folder for folder in profiles.models_of_others(subject) if any(folder.glob("model-*"))]
    if theirs and others:
        remains.append(
            "models of other people may have learned from these recordings as a library; "
            f"recalibrate them to be sure: {len(others)}"
        )
    erased = {"recordings": len(theirs), "models": models, "unknown_signs": unknown_signs, "captures": captures}
    return {**erased, "trend_files": trends.erase()}, remains

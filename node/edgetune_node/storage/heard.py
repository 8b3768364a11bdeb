"""What is learned of a healthy machine while it is monitored, in a file of its asset's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from edgetune_node.monitor import Heard
from edgetune_signal.durable import replacing

if TYPE_CHECKING:
    from pathlib import Path

HEARD: Final = "heard.json"
MOST_BYTES: Final = 4 * 2**20
ANEW: Final = "the time heard, modes and the sensor's baseline are learned anew"


class HeardFile:
    """The file in which an asset's `Heard` is kept.

    Parameters
    ----------
    folder
        The asset's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / HEARD

    def read(self) -> tuple[Heard | None, str | None]:
        """Return what is kept, None if there is nothing, and what was wrong with the file.

        A file that cannot be used is renamed to ``heard.json.damaged``, in place of an older one.
        """
        try:
            with self._path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
            if len(content) > MOST_BYTES:
                return None, self._set_aside(f"it is larger than {MOST_BYTES} bytes")
            return Heard.model_validate_json(content), None
        except FileNotFoundError:
            return None, None
        except ValidationError as error:
            first = error.errors()[0]
            return None, self._set_aside(f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}")
        except OSError as error:
            return None, f"{self._path} cannot be read: {error.strerror}; {ANEW}"

    def write(self, content: bytes) -> None:
        """Replace what is kept; `OSError` where the disk takes nothing, and the file is as it was."""
        with replacing(self._path, self._path.with_name(f".tmp-{HEARD}")) as file:
            file.write(content)

    def _set_aside(self, reason: str) -> str:
        aside = self._path.with_name(f"{HEARD}.damaged")
        try:
            self._path.replace(aside)
            told = f"it now is {aside.name}"
        except OSError as error:
            told = f"it cannot be renamed ({error.strerror})"
        return f"{self._path} is damaged ({reason}); {told}, and {ANEW}"

"""Secret files: where they are, and what is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

from edgetune_node.config.small_files import read_small_file

SECRETS_DIR = Path("/run/secrets")
VARIABLES = "EDGETUNE_"


def secret_folders() -> list[Path]:
    """Return where secret files are: the containers' folder, and the one that systemd makes for ``LoadCredential=``."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    folders = [SECRETS_DIR, *([Path(credentials)] if credentials else [])]
    return [folder for folder in folders if folder.is_dir()]


def unreadable_secrets(folder: Path) -> list[str]:
    """Find secret files that cannot be read, and what stands in the place of one, as a folder that Docker has made."""
    found = []
    try:
        for path in sorted(folder.iterdir()):
            if not path.name.lower().startswith(VARIABLES.lower()):
                continue
            if path.is_fifo():
                found.append(f"{path} is a pipe; write the secret into a file")
                continue
            secret = read_small_file(path)
            if not secret.strip():
                found.append(f"{path} is empty; write the secret into it, or remove it")
            elif secret.startswith("\ufeff"):
                found.append(f"{path} begins with a byte order mark; save it as UTF-8 without one")
    except UnicodeDecodeError:
        found.append(f"{path} is no text; write the secret as UTF-8")
    except OSError as error:
        found.append(f"{error.filename} cannot be read: {error.strerror}; the node's user must be able to read it")
    return found

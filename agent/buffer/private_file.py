"""Small files of the state directory: whole or not at all, durable, and closed to other users."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from agent.buffer.file import synced


def put_private(path: Path, content: bytes) -> None:
    """Write a file in place of one that exists; after a power cut it is the old or the new one. Raises: OSError."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    synced(path.parent)


def make_directory(path: Path, mode: int) -> None:
    """Make a directory with all above it that is missing; after a power cut it is there. Raises: OSError."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    for folder in missing:
        synced(folder.parent)


def close_to_others(path: Path) -> None:
    """Take from other users what they may do with a file, where it is ours. Raises: OSError."""
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)

"""Small files of the state directory: whole or not at all, durable, and closed to other users."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.buffer.file import synced

PRIVATE: Final = 0o600
"""What ``mkstemp`` gives a file."""


def put_private(path: Path, content: bytes) -> None:
    """Write a file in place of one that exists; after a power cut it is the old or the new one. Raises: OSError."""
    put_whole(path, content)
    synced(path.parent)


def put_whole(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Write a file in place of one that exists, complete before it takes its name; mode: where the disk has such.

    Raises: OSError.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if mode != PRIVATE:
            with suppress(OSError):
                new.chmod(mode)
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise

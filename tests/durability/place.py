"""Where trials put their disks: in memory, where there is such a place, since what is written there is thrown away."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

MEMORY = Path("/dev/shm")


def scratch() -> Path | None:
    """Return a directory in memory, None (the system's own choice) where there is none to write to."""
    return MEMORY if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else None


def laid_out(image: Mapping[str, bytes | None], root: Path) -> None:
    """Make a directory of an image: content by path, None for a directory."""
    root.mkdir()
    for name, content in sorted(image.items()):
        path = root / name
        if content is None:
            path.mkdir(mode=0o700)
        else:
            path.write_bytes(content)
            path.chmod(0o600)

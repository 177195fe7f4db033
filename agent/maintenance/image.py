"""The image of an update while it is fetched: a file that grows, and is gone on with after an interruption."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Final

from agent.buffer.private_file import put_private
from agent.maintenance.line import TransferFailed

LARGEST: Final = 512 * 1024 * 1024
"""Bytes; the agent with all it needs has some thirty million."""
RESERVE: Final = 64 * 1024 * 1024
"""So much of the disk stays free for the ledger, whatever is fetched."""
UNPACKED: Final = 3
"""An image takes so many times its size once it is unpacked and in place."""
IMAGE: Final = "image"
ORIGIN: Final = "image.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the bytes that are there came from; mark: the server's name for this version of the file, None for none."""

    job: int
    mark: str | None


class Image:
    """A file in a folder of its own."""

    def __init__(self, folder: Path, job: int) -> None:
        """Take up what there is of a job's image; what is left of another one's is removed. Raises: TransferFailed."""
        self.path = folder / IMAGE
        self._origin = folder / ORIGIN
        self._job = job
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.mark = self._known_mark()
        except OSError as error:
            raise TransferFailed(f"{folder} cannot be written ({error.strerror}): check its disk") from error

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, mark: str | None, total: int | None, *, resumed: bool) -> BinaryIO:
        """Open for the bytes to come, behind those that are there where the server goes on with them.

        total: size of the whole, None where the server does not tell. Raises: TransferFailed where it is too large for
        this station, OSError.
        """
        room = shutil.disk_usage(self.path.parent).free - RESERVE
        held = self.size if resumed else 0
        if total is not None and total > LARGEST:
            raise TransferFailed(f"the image has {total} bytes, at most {LARGEST} are taken")
        if total is not None and (total - held) + total * UNPACKED > room + (0 if resumed else self.size):
            raise TransferFailed(f"the image has {total} bytes, too many for the disk: free some space")
        if not resumed or mark != self.mark:
            put_private(self._origin, json.dumps(asdict(Origin(self._job, mark))).encode())
            self.mark = mark
        return self.path.open("ab" if resumed else "wb")

    def drop(self) -> None:
        """Remove what there is."""
        drop(self.path.parent)

    def _known_mark(self) -> str | None:
        try:
            origin = Origin(**json.loads(self._origin.read_bytes()))
        except (OSError, ValueError, TypeError):
            origin = None
        if origin is None or origin.job != self._job:
            self.drop()
            return None
        return origin.mark


def drop(folder: Path) -> None:
    """Remove what was fetched."""
    for name in (IMAGE, ORIGIN):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)

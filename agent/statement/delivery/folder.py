"""Delivery to a folder: one file per format, complete before it has its name."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.buffer.file import synced
from agent.buffer.private_file import put_whole
from agent.statement.delivery.errand import Line, NotReached
from agent.statement.delivery.parcel import Parcel

MODE: Final = 0o640
"""The group of the folder reads along, nobody else."""
GRANT: Final = "give that user the folder, and name it in ReadWritePaths= of the service (docs/installers.md)"
#: Error number of the system -> what it means, and what to do.
CAUSES: Final[Mapping[int, str]] = {
    errno.ENOSPC: "its disk is full: free some space",
    errno.EDQUOT: "its disk is full for this user: free some space",
    errno.ENOENT: "there is no such folder: create it, or mount its disk",
    errno.ENOTDIR: "it is no folder: name another in delivery.path",
    errno.EACCES: f"the agent's user may not write there: {GRANT}",
    errno.EPERM: f"the agent's user may not write there: {GRANT}",
    errno.EROFS: f"it is read-only for the agent: {GRANT}",
}


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that exists; it is never made here, since the disk that belongs there may not be mounted."""

    name: str
    formats: tuple[str, ...]
    path: Path

    @property
    def parts(self) -> tuple[str, ...]:
        """The formats."""
        return self.formats

    def trips(self, parts: Sequence[str]) -> Sequence[tuple[str, ...]]:
        """Return each by itself."""
        return [(part,) for part in parts]

    def papers(self, parts: Sequence[str]) -> tuple[str, ...]:
        """Return the formats themselves."""
        return tuple(parts)

    def send(self, parts: Sequence[str], parcel: Parcel, line: Line) -> Mapping[str, str]:  # noqa: ARG002  # the interface's
        """Write files. Raises: NotReached."""
        for part in parts:
            paper = parcel.papers[part]
            try:
                self._cleared(paper.name)
                put_whole(self.path / paper.name, paper.content, mode=MODE)
            except OSError as error:
                words = CAUSES.get(error.errno or 0, f"{error.strerror or error}: check the folder and its disk")
                raise NotReached(f"{self.path} cannot be written to: {words}") from error
        with suppress(OSError):  # disks of other machines may know no such thing
            synced(self.path)
        return {}

    def _cleared(self, name: str) -> None:
        """Remove what a power cut left of the same file. Raises: OSError."""
        for left in self.path.glob(f".{name[:40]}.*"):
            left.unlink(missing_ok=True)

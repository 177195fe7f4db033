"""Wheels: what is in one is checked against its own list, and put where Python finds it; nothing of it is run.

Source: the binary distribution format (PEP 427) and the core metadata of Python packages.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import IO, Final

from agent.core.errors import InstallFailed

MOST_FILES: Final = 20_000
MOST_BYTES: Final = 512 * 1024 * 1024
PLACES: Final = frozenset({"purelib", "platlib"})
"""Parts of a wheel's ``.data`` folder that belong beside its packages; scripts and headers are not needed."""
HASH: Final = "sha256="
UNHASHED: Final = frozenset({"RECORD", "RECORD.jws", "RECORD.p7s"})


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that is open; name: normalised, requires: the names of what it needs, as far as no marker excludes it."""

    archive: zipfile.ZipFile
    folder: str
    name: str
    version: str
    requires: tuple[tuple[str, bool], ...]

    def unpack(self, target: Path) -> None:
        """Write the files into ``site-packages``. Raises: InstallFailed, OSError."""
        hashes = self._record()
        for info in self.archive.infolist():
            place = None if info.is_dir() else _place(info.filename)
            if place is None:
                continue
            content = self.archive.read(info)
            if place.name not in UNHASHED or place.parent.name != self.folder:
                _check(info.filename, content, hashes)
            path = target.joinpath(*place.parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def _record(self) -> Mapping[str, str]:
        text = self.archive.read(f"{self.folder}/RECORD").decode()
        return {row[0]: row[1] for row in csv.reader(io.StringIO(text)) if len(row) > 1}


def wheel(file: Path | IO[bytes]) -> Wheel:
    """Open a wheel. Raises: InstallFailed for what is none, or is too large."""
    try:
        archive = zipfile.ZipFile(file)
        infos = archive.infolist()
        if len(infos) > MOST_FILES or sum(info.file_size for info in infos) > MOST_BYTES:
            raise InstallFailed("the wheel has too many files, or too large ones")
        folders = {info.filename.split("/")[0] for info in infos if info.filename.endswith(".dist-info/WHEEL")}
        (folder,) = folders
        metadata = HeaderParser().parsestr(archive.read(f"{folder}/METADATA").decode())
        archive.getinfo(f"{folder}/RECORD")
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise InstallFailed(f"this is no wheel ({type(error).__name__})") from error
    requires = tuple(requirements(metadata.get_all("Requires-Dist") or ()))
    return Wheel(archive, folder, normal(str(metadata["Name"])), str(metadata["Version"]), requires)


def requirements(lines: list[str] | tuple[()]) -> Iterator[tuple[str, bool]]:
    """Yield the name of each thing that is required, and whether only under a condition; extras are left out."""
    for line in lines:
        requirement, _, marker = line.partition(";")
        named = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement.strip())
        if named is not None and "extra" not in marker:
            yield normal(named[0]), bool(marker.strip())


def normal(name: str) -> str:
    """Return a package's name as names are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _place(name: str) -> PurePosixPath | None:
    """Return where a file goes in ``site-packages``, None for one that is not needed. Raises: InstallFailed."""
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\\" in name or not place.parts:
        raise InstallFailed("the wheel has a file that would be written outside of its place")
    first, *rest = place.parts
    if not first.endswith(".data"):
        return place
    return PurePosixPath(*rest[1:]) if len(rest) > 1 and rest[0] in PLACES else None


def _check(name: str, content: bytes, hashes: Mapping[str, str]) -> None:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    if hashes.get(name) != f"{HASH}{digest}":
        raise InstallFailed(f"the wheel is damaged: {name[:100]} is not what its RECORD says")

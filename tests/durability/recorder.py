"""The instrument: what the agent does below a directory, through SQLite or through ``os``, onto a tape.

SQLite's files are heard through its VFS. Python's own calls (os.open, write, fsync, rename, unlink, …) are heard by
standing in for them. What file objects write is not heard, but is looked at when it is synced or renamed, since only
then it counts. Whatever passes by is found by ``verify``: the tape must add up to what is really there.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.durability.disk import Disk, apply
from tests.durability.tape import (
    Created,
    DirectorySynced,
    Removed,
    Renamed,
    Synced,
    Tape,
    Truncated,
    Written,
)
from tests.durability.vfs import RecordingVfs, Watcher

UNHEARD: Final = ("-shm",)
"""Shared memory is made anew by whoever opens the ledger first: what it has on the disk does not matter."""


class Watch:
    """Hears what is done below one directory, until it is ended."""

    def __init__(self, root: Path, tape: Tape) -> None:
        self.root = root.resolve()
        self._tape = tape
        self._is_open = True
        self._heard: dict[str, bytearray] = {}
        self._known = {str(path) for path in self.root.rglob("*")}

    def end(self) -> None:
        """Hear nothing from now on."""
        self._is_open = False

    def covers(self, path: str) -> bool:
        """Tell whether a path is heard."""
        return self._is_open and Path(path).is_relative_to(self.root) and not path.endswith(UNHEARD)

    def created(self, path: str, *, directory: bool = False) -> None:
        self._known.add(path)
        self._note(Created(self._name(path), directory))

    def written(self, path: str, offset: int, content: bytes) -> None:
        self._note(Written(self._name(path), offset, content))

    def truncated(self, path: str, size: int) -> None:
        self._note(Truncated(self._name(path), size))

    def synced(self, path: str) -> None:
        self._note(Synced(self._name(path)))

    def directory_synced(self, path: str) -> None:
        self._note(DirectorySynced(self._name(path)))

    def removed(self, path: str) -> None:
        self._heard.pop(path, None)
        self._known.discard(path)
        self._note(Removed(self._name(path)))

    def renamed(self, path: str, to: str) -> None:
        if path in self._heard:
            self._heard[to] = self._heard.pop(path)
        self._known = (self._known - {path}) | {to}
        self._note(Renamed(self._name(path), self._name(to)))

    def wrote(self, path: str, offset: int, content: bytes) -> None:
        """Note what Python writes by itself."""
        apply(self._heard.setdefault(path, bytearray()), Written(path, offset, content))
        self.written(path, offset, content)

    def resized(self, path: str, size: int) -> None:
        """Note that Python sets a size by itself."""
        apply(self._heard.setdefault(path, bytearray()), Truncated(path, size))
        self.truncated(path, size)

    def looked_at(self, path: str) -> None:
        """Note the whole content of a file where it is not what was heard, and that it was made."""
        if not Path(path).is_file():
            return
        if path not in self._known:
            self.created(path)
        content = Path(path).read_bytes()
        if self._heard.get(path, b"") != content:
            self.wrote(path, 0, content)
            self.resized(path, len(content))

    def _note(self, operation: Any) -> None:  # noqa: ANN401  # any Operation
        if self._is_open:
            self._tape.note(operation)

    def _name(self, path: str) -> str:
        name = Path(path).relative_to(self.root).as_posix()
        return "" if name == "." else name


class Recorder:
    """Installed once; ``watch`` says what is recorded, and where to."""

    def __init__(self) -> None:
        """Raises: NoInstrument."""
        self._watch: Watch | None = None
        self.vfs = RecordingVfs(self._watcher_of)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Hear everything from now on. Raises: NoInstrument."""
        with self.vfs.installed(), _standing_in(self._stand_ins()):
            yield
        self.vfs.check()

    def watch(self, root: Path, tape: Tape) -> None:
        """Record what is done below a directory; another one that was watched is not any more."""
        if self._watch is not None:
            self._watch.end()
        self._watch = Watch(root, tape)

    def unwatch(self) -> None:
        """Record nothing."""
        if self._watch is not None:
            self._watch.end()
        self._watch = None

    def verify(self, disk: Disk) -> None:
        """Hold what was recorded against the directory. Raises: AssertionError where something passed unheard."""
        self.vfs.check()
        assert self._watch is not None
        found, recorded = contents(self._watch.root), disk.files()
        different = [p for p in {*found, *recorded} if found.get(p) != recorded.get(p)]
        assert not different, f"written, but not through anything that is recorded: {sorted(different)}"

    def _watcher_of(self, path: str) -> Watcher | None:
        return self._watch if self._watch is not None and self._watch.covers(path) else None

    def _hearing(self, path: object) -> Watch | None:
        watch = self._watch
        named = isinstance(path, str | os.PathLike) and not isinstance(os.fspath(path), bytes)
        return watch if watch is not None and named and watch.covers(os.path.abspath(str(path))) else None  # noqa: PTH100  # resolve() would follow links

    def _stand_ins(self) -> dict[str, Callable[..., Any]]:
        return {
            "open": self._open,
            "mkdir": self._mkdir,
            "write": self._write,
            "ftruncate": self._ftruncate,
            "fsync": self._sync(os.fsync),
            "fdatasync": self._sync(os.fdatasync),
            "rename": self._rename(os.rename),
            "replace": self._rename(os.replace),
            "unlink": self._unlink(os.unlink),
            "remove": self._unlink(os.remove),
            "rmdir": self._unlink(os.rmdir),
        }

    def _open(self, path: Any, flags: int, mode: int = 0o777, **rest: Any) -> int:  # noqa: ANN401
        watch = self._hearing(path)
        existed = watch is None or Path(path).exists()
        if watch is not None and existed and flags & os.O_TRUNC:
            watch.resized(os.path.abspath(path), 0)  # noqa: PTH100
        descriptor = _OPEN(path, flags, mode, **rest)
        if watch is not None and not existed:
            watch.created(os.path.abspath(path))  # noqa: PTH100
        return descriptor

    def _file(self, descriptor: int) -> tuple[Watch | None, str]:
        """Return who hears an open file, and its path."""
        if self._watch is None:
            return None, ""
        path = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
        return self._hearing(path), path

    def _write(self, descriptor: int, content: Any) -> int:  # noqa: ANN401
        watch, path = self._file(descriptor)
        if watch is None:
            return _WRITE(descriptor, content)
        end = bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND)
        offset = os.fstat(descriptor).st_size if end else os.lseek(descriptor, 0, os.SEEK_CUR)
        watch.wrote(path, offset, bytes(content))
        count = _WRITE(descriptor, content)
        if count < len(content):
            watch.resized(path, os.fstat(descriptor).st_size)
        return count

    def _ftruncate(self, descriptor: int, size: int) -> None:
        watch, path = self._file(descriptor)
        if watch is not None:
            watch.resized(path, size)
        _FTRUNCATE(descriptor, size)

    def _mkdir(self, path: Any, *rest: Any, **named: Any) -> None:  # noqa: ANN401
        _MKDIR(path, *rest, **named)
        watch = self._hearing(path)
        if watch is not None:
            watch.created(os.path.abspath(path), directory=True)  # noqa: PTH100

    def _sync(self, real: Callable[[Any], None]) -> Callable[[Any], None]:
        def sync(file: Any) -> None:  # noqa: ANN401
            watch, path = self._file(file if isinstance(file, int) else file.fileno())
            is_file = not Path(path).is_dir()
            if watch is not None and is_file:
                watch.looked_at(path)
            real(file)
            if watch is not None:
                (watch.synced if is_file else watch.directory_synced)(path)

        return sync

    def _rename(self, real: Callable[..., None]) -> Callable[..., None]:
        def rename(path: Any, to: Any, **rest: Any) -> None:  # noqa: ANN401
            watch = self._hearing(path)
            if watch is not None:
                watch.looked_at(os.path.abspath(path))  # noqa: PTH100
                watch.renamed(os.path.abspath(path), os.path.abspath(to))  # noqa: PTH100
            real(path, to, **rest)

        return rename

    def _unlink(self, real: Callable[..., None]) -> Callable[..., None]:
        def unlink(path: Any, **rest: Any) -> None:  # noqa: ANN401
            watch = self._hearing(path)
            if watch is not None and Path(path).exists():
                watch.removed(os.path.abspath(path))  # noqa: PTH100
            real(path, **rest)

        return unlink


_OPEN: Final = os.open
_MKDIR: Final = os.mkdir
_WRITE: Final = os.write
_FTRUNCATE: Final = os.ftruncate


@contextmanager
def _standing_in(functions: dict[str, Callable[..., Any]]) -> Iterator[None]:
    before = {name: getattr(os, name) for name in functions}
    for name, function in functions.items():
        setattr(os, name, function)
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(os, name, function)


def contents(root: Path) -> dict[str, bytes]:
    """Return the content of all files below a directory that count, by path."""
    paths = (p for p in sorted(root.rglob("*")) if p.is_file() and not p.name.endswith(UNHEARD))
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in paths}

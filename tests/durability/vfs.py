"""A recording VFS inside the very SQLite library that Python uses: every file operation on a tape, nothing changed.

SQLite calls its files through tables of functions. The VFS registered here is a copy of the platform's own with xOpen,
xDelete and xRandomness replaced; an opened file keeps the platform's object and gets a copy of the platform's table in
which xWrite, xTruncate, xSync and xClose are replaced. So locks and shared memory (xLock, xShmMap, xShmLock,
xShmBarrier, xShmUnmap) stay untouched and run at their own speed. That a directory is synced is seen where the
platform's VFS opens it (system call ``openDirectory``), which it does for nothing else.

Needs no compiler, but the library's functions must be found: a SQLite that is linked into the interpreter without its
symbols cannot be recorded, and says so (``NoInstrument``).
Source: sqlite3.h (sqlite3_vfs, sqlite3_io_methods, version 3 each), https://www.sqlite.org/c3ref/vfs.html
"""

from __future__ import annotations

import ctypes
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

NAME: Final = b"recording"
OK: Final = 0
IOERR: Final = 10

Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
Delete = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
Randomness = CFUNCTYPE(c_int, c_void_p, c_int, c_void_p)
GetSystemCall = CFUNCTYPE(c_void_p, c_void_p, c_char_p)
SetSystemCall = CFUNCTYPE(c_int, c_void_p, c_char_p, c_void_p)
OpenDirectory = CFUNCTYPE(c_int, c_char_p, POINTER(c_int))
Close = CFUNCTYPE(c_int, c_void_p)
Write = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
Truncate = CFUNCTYPE(c_int, c_void_p, c_int64)
Sync = CFUNCTYPE(c_int, c_void_p, c_int)

#: version of a table of file methods -> how many functions it has.
METHODS: Final = {1: 12, 2: 16, 3: 18}
CLOSE, WRITE, TRUNCATE, SYNC = 0, 2, 3, 4
"""Places in the table."""


class NoInstrument(Exception):
    """This build of Python does not let its SQLite be recorded."""


class Watcher(Protocol):
    """Who hears what SQLite does to the files below a directory; absolute paths."""

    def created(self, path: str) -> None: ...
    def written(self, path: str, offset: int, content: bytes) -> None: ...
    def truncated(self, path: str, size: int) -> None: ...
    def synced(self, path: str) -> None: ...
    def directory_synced(self, path: str) -> None: ...
    def removed(self, path: str) -> None: ...


class _Vfs(Structure):
    _fields_ = (
        ("iVersion", c_int),
        ("szOsFile", c_int),
        ("mxPathname", c_int),
        ("pNext", c_void_p),
        ("zName", c_char_p),
        ("pAppData", c_void_p),
        ("xOpen", c_void_p),
        ("xDelete", c_void_p),
        ("xAccess", c_void_p),
        ("xFullPathname", c_void_p),
        ("xDlOpen", c_void_p),
        ("xDlError", c_void_p),
        ("xDlSym", c_void_p),
        ("xDlClose", c_void_p),
        ("xRandomness", c_void_p),
        ("xSleep", c_void_p),
        ("xCurrentTime", c_void_p),
        ("xGetLastError", c_void_p),
        ("xCurrentTimeInt64", c_void_p),
        ("xSetSystemCall", c_void_p),
        ("xGetSystemCall", c_void_p),
        ("xNextSystemCall", c_void_p),
    )


class _Methods(Structure):
    _fields_ = (("iVersion", c_int), ("calls", c_void_p * max(METHODS.values())))


def library(module: ModuleType | None = None) -> ctypes.CDLL:
    """Return the SQLite library that a module (``_sqlite3``) is linked with. Raises: NoInstrument, with the reason."""
    if module is None:
        import _sqlite3 as module  # noqa: PLC0415  # which build it is must not matter to who only imports this
    place = getattr(module, "__file__", None)
    try:
        found = ctypes.CDLL(place)  # the extension's own handle: its symbols are looked up in what it is linked with
        found.sqlite3_vfs_find.restype = POINTER(_Vfs)
        found.sqlite3_vfs_find.argtypes = (c_char_p,)
        found.sqlite3_vfs_register.argtypes = (c_void_p, c_int)
        found.sqlite3_vfs_unregister.argtypes = (c_void_p,)
        found.sqlite3_randomness.argtypes = (c_int, c_void_p)
        found.sqlite3_sourceid.restype = c_char_p
        source = found.sqlite3_sourceid().decode()
    except (OSError, AttributeError) as error:
        words = f"SQLite is linked into {place or 'the interpreter'} without symbols that could be found ({error})"
        raise NoInstrument(words) from error
    with closing(sqlite3.connect(":memory:")) as connection:
        ((used,),) = connection.execute("SELECT sqlite_source_id()")
    if used != source:
        raise NoInstrument(f"Python uses another SQLite ({used}) than the one that was found ({source})")
    return found


class RecordingVfs:
    """The VFS, the default one while it is installed; tells ``watcher`` what is done to files that it watches."""

    def __init__(self, watcher_of: Callable[[str], Watcher | None]) -> None:
        """Use the platform's VFS; watcher_of: who watches a file, asked when it is opened. Raises: NoInstrument."""
        self._library = library()
        self._watcher_of = watcher_of
        base = self._library.sqlite3_vfs_find(None)
        if not base or not base.contents.xSetSystemCall or base.contents.iVersion < 3:
            raise NoInstrument("the default VFS of this SQLite is not the one for Unix")
        self._base = base
        self._files: dict[int, tuple[str, Watcher]] = {}
        self._tables: dict[int, _Methods] = {}
        self._kept: list[object] = []
        self._postponed: Callable[[], None] | None = None
        self._chance: random.Random | None = None
        self.failure: BaseException | None = None
        self._vfs = _Vfs.from_buffer_copy(base.contents)
        self._vfs.zName = NAME
        self._replace_vfs_calls()

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Be the default VFS, and prove that Python's connections come through it. Raises: NoInstrument."""
        base = ctypes.addressof(self._base.contents)
        set_call = SetSystemCall(self._base.contents.xSetSystemCall)
        hook = self._guarded(OpenDirectory, self._open_directory)
        self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1)
        set_call(base, b"openDirectory", ctypes.cast(hook, c_void_p))
        try:
            self._prove()
            yield
        finally:
            set_call(base, b"openDirectory", None)
            self._library.sqlite3_vfs_unregister(ctypes.byref(self._vfs))
            self._library.sqlite3_vfs_register(base, 1)

    def seed(self, number: int) -> None:
        """Make SQLite's chance (the salts of its log) a matter of this number from now on."""
        self._chance = random.Random(number)
        self._library.sqlite3_randomness(0, None)

    def check(self) -> None:
        """Raise what went wrong inside a callback, where it could only become an I/O error."""
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    @staticmethod
    def _prove() -> None:
        try:
            sqlite3.connect(f"file::memory:?vfs={NAME.decode()}", uri=True).close()
        except sqlite3.OperationalError as error:
            raise NoInstrument(f"Python's SQLite does not know the recording VFS ({error})") from error

    def _replace_vfs_calls(self) -> None:
        vfs, own = self._vfs, self._base.contents
        self._real_open = Open(own.xOpen)
        self._real_delete = Delete(own.xDelete)
        self._real_randomness = Randomness(own.xRandomness)
        get_call = GetSystemCall(own.xGetSystemCall)
        self._real_open_directory = OpenDirectory(get_call(ctypes.addressof(own), b"openDirectory"))
        vfs.xOpen = ctypes.cast(self._guarded(Open, self._open), c_void_p)
        vfs.xDelete = ctypes.cast(self._guarded(Delete, self._delete), c_void_p)
        vfs.xRandomness = ctypes.cast(self._guarded(Randomness, self._randomness), c_void_p)

    def _guarded(self, kind: Any, call: Callable[..., int]) -> Any:  # noqa: ANN401  # ctypes makes these types
        """Return a C function for a method, kept alive; an exception cannot pass through C and becomes an I/O error."""

        def guarded(*arguments: Any) -> int:  # noqa: ANN401
            try:
                return call(*arguments)
            except BaseException as failure:  # noqa: BLE001  # raised again by check()
                self.failure = self.failure or failure
                return IOERR

        function = kind(guarded)
        self._kept.append(function)
        return function

    # --- the VFS ------------------------------------------------------------------------------------------------

    def _open(self, _vfs: int, name: int | None, file: int, flags: int, out: Any) -> int:  # noqa: ANN401
        path = None if name is None else ctypes.string_at(name).decode()
        watcher = None if path is None else self._watcher_of(path)
        existed = path is None or Path(path).exists()
        result = self._real_open(ctypes.addressof(self._base.contents), name, file, flags, out)
        if path is not None and watcher is not None and result == OK:
            if not existed:
                watcher.created(path)
            self._files[file] = (path, watcher)
            methods = c_void_p.from_address(file)
            methods.value = ctypes.addressof(self._table(int(methods.value or 0)))
        return int(result)

    def _delete(self, _vfs: int, name: bytes, sync_directory: int) -> int:
        path = name.decode()
        watcher = self._watcher_of(path)
        if watcher is not None and Path(path).exists():
            watcher.removed(path)
        return int(self._real_delete(ctypes.addressof(self._base.contents), name, sync_directory))

    def _randomness(self, _vfs: int, count: int, out: int) -> int:
        if self._chance is None:
            return int(self._real_randomness(ctypes.addressof(self._base.contents), count, out))
        ctypes.memmove(out, self._chance.randbytes(count), count)
        return count

    def _open_directory(self, name: bytes, out: Any) -> int:  # noqa: ANN401
        """Note that a directory is synced; ``name``: of a file in it. What is synced with it was synced before."""
        result = int(self._real_open_directory(name, out))
        watcher = self._watcher_of(name.decode())
        if result == OK and watcher is not None:
            if self._postponed is not None:
                self._postponed()
                self._postponed = None
            watcher.directory_synced(str(Path(name.decode()).parent))
        return result

    # --- files --------------------------------------------------------------------------------------------------

    def _table(self, original: int) -> _Methods:
        """Return the recording table for one of the platform's; made once, kept for ever."""
        if original not in self._tables:
            version = c_int.from_address(original).value
            table = _Methods()
            count = METHODS[min(version, max(METHODS))]
            size = _Methods.calls.offset + count * ctypes.sizeof(c_void_p)
            ctypes.memmove(ctypes.byref(table), original, size)
            table.iVersion = min(version, max(METHODS))
            self._replace_file_calls(table)
            self._tables[original] = table
        return self._tables[original]

    def _replace_file_calls(self, table: _Methods) -> None:
        real_close, real_write = Close(table.calls[CLOSE]), Write(table.calls[WRITE])
        real_truncate, real_sync = Truncate(table.calls[TRUNCATE]), Sync(table.calls[SYNC])

        def close(file: int) -> int:
            self._files.pop(file)
            return int(real_close(file))

        def write(file: int, content: int, count: int, offset: int) -> int:
            path, watcher = self._files[file]
            watcher.written(path, offset, ctypes.string_at(content, count))
            return int(real_write(file, content, count, offset))

        def truncate(file: int, size: int) -> int:
            path, watcher = self._files[file]
            watcher.truncated(path, size)
            return int(real_truncate(file, size))

        def sync(file: int, flags: int) -> int:
            path, watcher = self._files[file]
            self._postponed = lambda: watcher.synced(path)
            result = int(real_sync(file, flags))
            if self._postponed is not None and result == OK:
                self._postponed()
            self._postponed = None
            return result

        for place, kind, call in ((CLOSE, Close, close), (WRITE, Write, write), (SYNC, Sync, sync)):
            table.calls[place] = ctypes.cast(self._guarded(kind, call), c_void_p)
        table.calls[TRUNCATE] = ctypes.cast(self._guarded(Truncate, truncate), c_void_p)

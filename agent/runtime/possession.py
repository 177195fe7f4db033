"""The lock on a state directory: one daemon at a time, and nobody else may look in."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from agent.buffer.file import make_directory
from agent.core.errors import AgentError

LOCK: Final = "lock"
DIRECTORY_MODE: Final = 0o750
UNWRITABLE: Final = frozenset({errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO})


class StateDirUnusable(AgentError):
    """The state directory cannot be made, opened or locked."""


class StateDirBusy(StateDirUnusable):
    """Another daemon uses the state directory."""


class StateDirUnwritable(StateDirUnusable):
    """The disk of a state directory takes nothing, so that nobody can have locked it either."""


@dataclass(frozen=True, slots=True)
class StateLock:
    """The right to use a state directory, as long as it is held; it ends with the process in any case."""

    descriptor: int

    def release(self) -> None:
        """Let another daemon use the directory; once only."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        """Return the lock."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
        self.release()


def acquire(state_dir: Path) -> StateLock:
    """Make the state directory where it is missing, close it to other users, and lock it.

    It comes before anything else is opened. A lock that a killed process left behind counts for nothing.
    Raises: StateDirBusy, StateDirUnwritable, StateDirUnusable.
    """
    try:
        make_directory(state_dir, DIRECTORY_MODE)
        _close_to_others(state_dir)
        descriptor = _open_lock(state_dir / LOCK)
    except OSError as error:
        reason = error.strerror or error
        message = f"state directory {state_dir} cannot be used ({reason}): check its owner, permissions and disk"
        refused = StateDirUnwritable if error.errno in UNWRITABLE else StateDirUnusable
        raise refused(message) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise StateDirBusy(_busy(state_dir, owner)) from error
    with contextlib.suppress(OSError):  # a full or read-only disk: the number is only for the words of a refusal
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    return StateLock(descriptor)


def _close_to_others(state_dir: Path) -> None:
    mode = stat.S_IMODE(state_dir.stat().st_mode)
    if mode & stat.S_IWOTH:
        raise PermissionError(None, "everybody may write to it; the agent needs a directory of its own")
    if mode & ~(DIRECTORY_MODE | stat.S_ISGID):
        state_dir.chmod(mode & (DIRECTORY_MODE | stat.S_ISGID))


def _open_lock(path: Path) -> int:
    """Open the lock file; one that exists is enough where the disk became read-only."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        if not path.exists():
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _busy(state_dir: Path, owner: str) -> str:
    who = f" (process {owner})" if owner.isdigit() else ""
    return (
        f"another wallbox-agent{who} uses {state_dir}: "
        "stop it with `systemctl stop wallbox-agent`, or give this one a station.state_dir of its own"
    )

"""Files that a command writes: whole or not at all, and closed to other users."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from agent.cli.context import CommandFailed


def put(path: Path, content: bytes) -> None:
    """Write a file, in place of one that exists; what is no regular file (a pipe, a device) is written to.

    A new file is complete before it takes its name: nobody sees half of it, and a full disk leaves the old one.
    Raises: CommandFailed.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "it is a directory: name a file in it")
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            _replace(path.resolve(), content)
    except OSError as error:
        words = f"{path} cannot be written ({error.strerror or error}): check its directory and the disk's space"
        raise CommandFailed(words) from error


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")  # readable by its owner alone
    new = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise

"""Files that a command writes: whole or not at all, and closed to other users."""

from __future__ import annotations

from pathlib import Path

from agent.cli.context import CommandFailed


def put(path: Path, content: bytes) -> None:
    """Write a file, in place of one that exists; what is no regular file (a pipe, a device) is written to.

    A new file is complete before it takes its name: nobody sees half of it, and a full disk leaves the old one.
    Raises: CommandFailed.
    """
    from agent.buffer.private_file import put_whole

    try:
        if path.is_dir():
            raise IsADirectoryError(None, "it is a directory: name a file in it")
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            put_whole(path.resolve(), content)
    except OSError as error:
        words = f"{path} cannot be written ({error.strerror or error}): check its directory and the disk's space"
        raise CommandFailed(words) from error

"""Another ledger takes the place of the present one, which is kept under another name: wholly, or not yet.

The new one is made under ``TAKING``. Once it is whole and durable it gets the name that the present one is to have,
with ``NEXT`` behind it; from then on it is the ledger, and whoever comes next finishes what a power cut has left. The
write-ahead log belongs to the file that it was written for: it goes before the new file comes. So does the second copy.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.buffer.file import LEDGER, synced
from agent.buffer.second import COPY

TAKING: Final = "ledger.taking"
NEXT: Final = ".next"
LOG: Final = "-wal"
INDEX: Final = "-shm"


def begun(state_dir: Path) -> Path:
    """Return where to make the new ledger; what an earlier attempt has left is gone. Raises: OSError."""
    path = state_dir / TAKING
    for suffix in ("", LOG, INDEX, "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return path


def abandoned(state_dir: Path) -> None:
    """Leave nothing of a new ledger that came to nothing. Never raises."""
    with suppress(OSError):
        begun(state_dir)


def taken(state_dir: Path, aside: str) -> tuple[Path, ...]:
    """Put the new ledger, which nobody has open, in the present one's place; aside: the name that this one gets.

    Returns the files of the present one, under their new names. Raises: OSError; then ``finished`` goes on with it.
    """
    new = state_dir / TAKING
    new.chmod(0o600)
    with new.open("rb") as file:
        os.fsync(file.fileno())
    new.rename(state_dir / (aside + NEXT))
    synced(state_dir)
    return finished(state_dir)


def finished(state_dir: Path) -> tuple[Path, ...]:
    """Go on with a change that was not finished, where there is one. Raises: OSError."""
    aside: list[Path] = []
    for following in sorted(state_dir.glob(f"ledger.*{NEXT}")):
        aside += _finished(state_dir / LEDGER, following)
    return tuple(aside)


def _finished(ledger: Path, following: Path) -> list[Path]:
    aside = following.name.removesuffix(NEXT)
    suffixes = kept(ledger.parent)
    for suffix in reversed(suffixes):  # the log first
        ledger.with_name(LEDGER + suffix).rename(ledger.with_name(aside + suffix))
    for rest in (LEDGER + LOG, LEDGER + INDEX, COPY):
        ledger.with_name(rest).unlink(missing_ok=True)
    synced(ledger.parent)
    following.rename(ledger)
    synced(ledger.parent)
    return [ledger.with_name(aside + suffix) for suffix in suffixes]


def kept(state_dir: Path) -> tuple[str, ...]:
    """Return the endings of the present ledger's files that are kept: a log without anything in it is not."""
    paths = {suffix: state_dir / (LEDGER + suffix) for suffix in ("", LOG)}
    return tuple(suffix for suffix, path in paths.items() if path.exists() and (path.stat().st_size or not suffix))


def stamped(kind: str, now: str, state_dir: Path) -> str:
    """Return a free name for a ledger that is set aside, like ``ledger.corrupt-20261124T140359Z``."""
    name, number = f"ledger.{kind}-{now}", 1
    while any(state_dir.glob(f"{name}*")):
        number += 1
        name = f"ledger.{kind}-{now}-{number}"
    return name

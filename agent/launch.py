"""The launcher: starts the firmware that is in force, counts the starts of one on trial, and goes back where it fails.

It knows nothing of the agent that it starts and needs nothing but the standard library, so that it works whatever was
installed. Firmware is in one of two folders (slots) of the state directory; what the machine's owner installed is the
base, which is never changed from here and is what remains when nothing else works. ADR 25.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, NoReturn

FOLDER: Final = "FIRMWARE_FOLDER"
"""Environment: the folder of the slots; without it ``firmware`` in systemd's STATE_DIRECTORY."""
USUAL: Final = Path("/var/lib/wallbox-agent/firmware")
"""The folder for commands that somebody types, whom systemd tells nothing."""
SLOT: Final = "FIRMWARE_SLOT"
"""Environment of the agent: the slot that it runs from, empty for the base."""
LAUNCHER: Final = "FIRMWARE_LAUNCHER"
"""Environment of the agent: the Python by which the launcher is run again."""
SLOTS: Final = ("a", "b")
CHOICE: Final = "choice.json"
VERSION: Final = 1
STARTS: Final = 3
"""Firmware on trial that was started so often without proving itself is given up."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Firmware that has still to prove itself: its slot, the number of its update, and how often it was started."""

    slot: str
    job: int
    starts: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be started; active: a slot that has proven itself, None for the base."""

    active: str | None = None
    trial: Trial | None = None


def read(folder: Path) -> Choice:
    """Return the choice; what cannot be read is the base."""
    try:
        found = json.loads((folder / CHOICE).read_bytes())
        trial = found.get("trial")
        choice = Choice(found.get("active"), None if trial is None else Trial(**trial))
    except (OSError, ValueError, TypeError, AttributeError):
        return Choice()
    known = choice.active in {None, *SLOTS} and (choice.trial is None or choice.trial.slot in SLOTS)
    return choice if known and found.get("version") == VERSION else Choice()


def write(folder: Path, choice: Choice) -> None:
    """Keep a choice; after a power cut it is the old or the new one. Raises: OSError."""
    new = folder / f"{CHOICE}.new"
    with new.open("w", encoding="ascii") as file:
        json.dump({"version": VERSION, **asdict(choice)}, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / CHOICE)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def pick(folder: Path, *, counted: bool = True) -> str | None:
    """Return the slot to start now, None for the base; a start on trial is counted before it happens.

    counted False: it is no start of the daemon, but a command beside it.
    """
    choice = read(folder)
    trial = choice.trial
    if trial is not None and (trial.starts >= STARTS or not usable(folder / trial.slot)):
        _say(f"the firmware in slot {trial.slot} did not prove itself: the one before it runs")
        choice, trial = replace(choice, trial=None), None
        with suppress(OSError):
            write(folder, choice)
    if trial is not None and not counted:
        return trial.slot
    if trial is not None:
        try:
            write(folder, replace(choice, trial=replace(trial, starts=trial.starts + 1)))
        except OSError as error:
            _say(f"the firmware on trial is not started: its start cannot be counted ({error})")
        else:
            return trial.slot
    if choice.active is not None and usable(folder / choice.active):
        return choice.active
    return None


def usable(slot: Path) -> bool:
    """Tell whether a slot has the agent for a Python that this machine still has."""
    python = slot / "bin" / "python"
    name = Path(os.path.realpath(python)).name
    found = slot.glob("lib/python3*/site-packages/agent/__init__.py")
    versions = {path.parents[2].name for path in found}
    return os.access(python, os.X_OK) and bool(versions) and (name in versions or "." not in name)


def folder_of(environ: dict[str, str]) -> Path | None:
    """Return the folder of the slots, None where there is none."""
    named, state = environ.get(FOLDER), environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if named:
        return Path(named)
    if state:
        return Path(state) / "firmware"
    return USUAL if os.access(USUAL / CHOICE, os.R_OK) else None


def again(arguments: list[str]) -> NoReturn:
    """Replace this process by a new start of the agent, by the launcher where it came from there."""
    launcher = os.environ.get(LAUNCHER)
    command = [launcher, "-P", "-m", "agent.launch"] if launcher else [sys.executable, "-m", "agent"]
    os.execv(command[0], [*command, *arguments])  # noqa: S606  # no shell is wanted


def _say(words: str) -> None:
    with suppress(OSError):
        sys.stderr.write(f"wallbox-launch: {words}\n")


def main() -> NoReturn:
    """Replace this process by the agent, with the same arguments."""
    environ = dict(os.environ)
    folder = folder_of(environ)
    slot = None if folder is None else pick(folder, counted="run" in sys.argv[1:])
    environ |= {LAUNCHER: sys.executable, SLOT: slot or ""}
    if folder is not None:
        environ[FOLDER] = str(folder)
    if folder is not None and slot is not None:
        python = str(folder / slot / "bin" / "python")
        with suppress(OSError):
            os.execve(python, [python, "-P", "-m", "agent", *sys.argv[1:]], environ)  # noqa: S606  # as above
        _say(f"slot {slot} cannot be started: the agent that was installed here runs")
        environ[SLOT] = ""
    os.execve(sys.executable, [sys.executable, "-P", "-m", "agent", *sys.argv[1:]], environ)  # noqa: S606  # as above


if __name__ == "__main__":
    main()

"""``backup`` and ``restore``: the state directory as one file."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.cli.context import CommandFailed

if TYPE_CHECKING:
    from datetime import datetime

    from agent.cli.context import Commands, Context

BACKUP: Final = """\
The file has the ledger as it is at this moment, the station's signing key and the settings that were changed; the
configuration file is not in it. It works while the agent runs. Keep it where only you can read it: whoever has the key
can sign in the station's name."""
RESTORE: Final = """\
Stop the agent first. Sessions that are here and not in the file stay; of a session that both have, what is known best
counts. Settings and cards that are here stay, others are put back. What is replaced is kept beside it under another
name. Only a backup of this station is taken."""
STOP: Final = "stop the agent first with `systemctl stop wallbox-agent`"


def register(commands: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the commands."""
    for name, run, words, text in (
        ("backup", backup, "the ledger, the key and the settings as one file", BACKUP),
        ("restore", restore, "put a backup back", RESTORE),
    ):
        parser = commands.add_parser(
            name,
            parents=[shared],
            allow_abbrev=False,
            help=words,
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.set_defaults(run=run)


def backup(context: Context, options: argparse.Namespace) -> int:
    """Write a backup. Raises: CommandFailed, ConfigError, JournalError."""
    from agent import __version__
    from agent.buffer.backup import back_up
    from agent.cli.client import no_permission

    station, target = context.config().station, options.file
    if station.state_dir.is_dir() and not os.access(station.state_dir, os.R_OK | os.X_OK):
        raise CommandFailed(no_permission(station.state_dir))
    try:
        made = back_up(station.state_dir, target, station=station.id, agent=__version__, now=_now())
    except OSError as error:
        words = f"{target} cannot be written ({error.strerror or error}): check its directory and the disk's space"
        raise CommandFailed(words) from error
    size = target.stat().st_size
    key = "; the station's signing key is in it: keep it where only you can read it" if made.has_key else ""
    document = {**made.to_json(), "file": str(target), "size_bytes": size, "signing_key": made.has_key}
    return context.emit(document, lambda: f"{target}: {_sessions(made.sessions)}, {size / 1e6:.1f} MB{key}")


def restore(context: Context, options: argparse.Namespace) -> int:
    """Put a backup back. Raises: CommandFailed, ConfigError, AgentError."""
    from agent.buffer.backup import read_manifest
    from agent.buffer.deliveries import CLOUD
    from agent.buffer.owner import foreign, hand_over
    from agent.buffer.restore import restore as put_back
    from agent.runtime.possession import StateDirBusy, acquire

    config, source = context.config(), options.file
    station, lanes = config.station, (CLOUD, *config.listeners())
    try:
        manifest = read_manifest(source)
        if manifest.station != station.id:
            words = f"{source} is a backup of station {manifest.station}, and this is {station.id}: nothing was changed"
            raise CommandFailed(f"{words}; check station.id and the file")
        if (wrong := foreign(station.state_dir, station.id)) is not None:
            raise CommandFailed(wrong)
        with acquire(station.state_dir):
            try:
                done = put_back(source, station.state_dir, destinations=lanes, now=_now())
            finally:
                hand_over(station.state_dir)
    except StateDirBusy as error:
        raise CommandFailed(f"the agent is running: {STOP}, and restore then") from error
    except OSError as error:
        name = error.filename or source
        raise CommandFailed(
            f"{name} cannot be used ({error.strerror or error}): check the file and the disk"
        ) from error
    document = {
        "file": str(source),
        "restored": done.restored,
        "kept": done.kept,
        "sessions": done.total,
        "files": list(done.files),
        "aside": [str(path) for path in done.aside],
    }
    return context.emit(document, lambda: _told(source, document))


def _told(source: Path, done: dict[str, object]) -> str:
    counts = f"{done['kept']} kept that the file does not have, {done['sessions']} in the ledger now"
    lines = [f"{source}: {_sessions(int(str(done['restored'])))} put back, {counts}"]
    files, aside = done["files"], done["aside"]
    if isinstance(files, list) and files:
        lines.append(f"also put back: {', '.join(files)}")
    if isinstance(aside, list) and aside:
        lines.append(f"what was here before is kept as {', '.join(aside)}: remove it once all is well")
    lines.append("start the agent again with `systemctl start wallbox-agent`")
    return "\n".join(lines)


def _sessions(count: int) -> str:
    return f"{count} session{'' if count == 1 else 's'}"


def _now() -> datetime:
    """Return the moment for names and manifests."""
    from agent.runtime.clock import SystemClock

    return SystemClock(0).now().wall

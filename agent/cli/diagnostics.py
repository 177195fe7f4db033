"""``diagnostics``: a support bundle, with or without a daemon."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.cli.context import NOT_RUNNING, CommandFailed

if TYPE_CHECKING:
    from agent.cli.context import Commands, Context
    from agent.runtime.config import AgentConfig
    from agent.runtime.diagnostics import Live

TEXT: Final = """\
A zip for who helps you: configuration without secrets, status, the newest log, versions, the newest sessions, what
waits to be sent. Nothing of a private card is in it. It works while the agent runs, and while it does not."""
JOURNAL: Final = ("--unit=wallbox-agent", "--lines=2000", "--no-pager", "--output=short-iso", "--quiet")
JOURNAL_S: Final = 20.0


def register(commands: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "diagnostics",
        parents=[shared],
        allow_abbrev=False,
        help="a support bundle without secrets",
        description=TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.set_defaults(run=bundle)


def bundle(context: Context, options: argparse.Namespace) -> int:
    """Write the bundle. Raises: CommandFailed, ConfigError."""
    from agent.cli.files import put
    from agent.maintenance.bundle import packed
    from agent.runtime.clock import SystemClock
    from agent.runtime.diagnostics import texts

    config, now = context.config(), SystemClock(0).now().wall
    live = _live(config)
    found = texts(config, live, now)
    put(options.file, packed(found, now))
    size = options.file.stat().st_size
    document = {"file": str(options.file), "size_bytes": size, "running": live.status is not None, "files": [*found]}
    without = "" if live.status is not None else "; the agent is not running, so that its status is not in it"
    return context.emit(document, lambda: f"{options.file}: {', '.join(found)}; {size / 1000:.1f} kB{without}")


def _live(config: AgentConfig) -> Live:
    """Return what the daemon tells, or, where none runs, what it left behind. Raises: CommandFailed."""
    from agent.cli.client import ask
    from agent.runtime.diagnostics import Live
    from agent.runtime.recent import before
    from agent.runtime.requests import DIAGNOSTICS

    last = before(config.station.state_dir)
    try:
        told = ask(config.station.state_dir, {"command": DIAGNOSTICS})
    except CommandFailed as error:
        if error.status != NOT_RUNNING:
            raise
        return Live(before=last, more={"journal.txt": _journal()})
    status, log = (told.get("status"), told.get("log")) if isinstance(told, Mapping) else (None, None)
    lines = [str(line) for line in log] if isinstance(log, list) else []
    return Live(status if isinstance(status, Mapping) else {}, lines, last)


def _journal() -> Sequence[str]:
    """Return what systemd keeps of the log, empty where there is none, or who asks may not read it."""
    program = shutil.which("journalctl")
    if program is None:
        return ()
    try:
        said = subprocess.run([program, *JOURNAL], capture_output=True, check=True, timeout=JOURNAL_S)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ()
    return said.stdout.decode("utf-8", "replace").splitlines()

"""``run``: the daemon in the foreground."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.cli.context import Commands, Context


def register(commands: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the command."""
    run_parser = commands.add_parser("run", parents=[shared], allow_abbrev=False, help="the daemon in the foreground")
    run_parser.set_defaults(run=run)


def run(context: Context, _options: argparse.Namespace) -> int:
    """Run until SIGTERM. Raises: ConfigError, StateDirBusy."""
    config = context.config(secrets=True)

    import asyncio

    from agent.runtime.daemon import run as serve
    from agent.runtime.logs import configure

    recent = configure(config.log.level, config.log.format)
    return asyncio.run(serve(config, context.path, recent))

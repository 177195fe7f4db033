"""``status``, ``link``, ``unlink`` and ``stop``: what is asked of the running daemon and answered at once."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent.cli.context import USAGE, CommandFailed, connector_number

if TYPE_CHECKING:
    from agent.cli.context import Commands, Context


def register(commands: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the commands."""
    now = commands.add_parser("status", parents=[shared], allow_abbrev=False, help="how the station is now")
    now.set_defaults(run=status)
    link_parser = commands.add_parser("link", parents=[shared], allow_abbrev=False, help="link to a company")
    link_parser.add_argument("code", metavar="CODE", help="company code, as the employer gave it")
    link_parser.set_defaults(run=link)
    unlink_parser = commands.add_parser("unlink", parents=[shared], allow_abbrev=False, help="leave the company")
    unlink_parser.set_defaults(run=unlink)
    stop_parser = commands.add_parser("stop", parents=[shared], allow_abbrev=False, help="stop a session from here")
    stop_parser.add_argument(
        "--connector", type=connector_number, metavar="N", help="1 or 2; without it the one that is busy"
    )
    stop_parser.set_defaults(run=stop)


def status(context: Context, _options: argparse.Namespace) -> int:
    """Print how the station is now."""
    document = _status(context)

    def text() -> str:
        from agent.cli.render import local_zone, status_text

        return status_text(document, local_zone(context.config().station.timezone))

    return context.emit(document, text)


def link(context: Context, options: argparse.Namespace) -> int:
    """Link to a company; the company's answer comes later and is seen in ``status``."""
    from agent.runtime.requests import company_code

    try:
        code = company_code(options.code)
    except ValueError as error:
        raise CommandFailed(str(error), status=USAGE) from error
    return _linked(context, {"command": "link", "code": code})


def unlink(context: Context, _options: argparse.Namespace) -> int:
    """Leave the company."""
    return _linked(context, {"command": "unlink"})


def stop(context: Context, options: argparse.Namespace) -> int:
    """End a session."""
    connector = options.connector or _busy(_status(context))
    result = context.ask({"command": "stop", "connector": connector})
    return context.emit(result, lambda: f"the session on connector {connector} is being stopped")


def _linked(context: Context, request: Mapping[str, object]) -> int:
    result = context.ask(request)
    answer = result if isinstance(result, Mapping) else {}

    def text() -> str:
        from agent.cli.render import link_text

        return link_text(answer)

    return context.emit({name: answer.get(name) for name in ("code", "state")}, text)


def _status(context: Context) -> Mapping[str, object]:
    from agent.cli.client import Connection

    with Connection(context.config().station.state_dir) as daemon:
        return daemon.status()


def _busy(document: Mapping[str, object]) -> int:
    """Return the only connector with a session. Raises: CommandFailed."""
    connectors = document.get("connectors")
    entries = [c for c in connectors if isinstance(c, Mapping)] if isinstance(connectors, list) else []
    busy = [c["id"] for c in entries if c.get("session") is not None]
    if not busy:
        raise CommandFailed("no session is running: look at `wallbox-agent status`")
    if len(busy) > 1:
        raise CommandFailed("sessions run on both connectors: say which one with `--connector N`", status=USAGE)
    return int(busy[0])

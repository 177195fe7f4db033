"""``report MONTH --deliver``: a month's statement is delivered now, by the daemon or, where none runs, from here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from agent.cli.context import DONE, NOT_RUNNING, REFUSED, USAGE, CommandFailed, say
from agent.cli.layout import Document, clean, plain

if TYPE_CHECKING:
    from datetime import datetime

    from agent.cli.context import Context
    from agent.runtime.config import AgentConfig
    from agent.statement.month import Month

WITHIN_S: Final = 600.0
"""Several deliveries of several files each, to servers that take their time."""


def deliver(context: Context, config: AgentConfig, month: Month, *, name: str | None, now: datetime) -> int:
    """Deliver to the recipient that is named, or to all. Exit status 1 where something did not arrive."""
    from zoneinfo import ZoneInfo

    from agent.statement.delivery.office import NONE

    if not config.document.delivery:
        raise CommandFailed(NONE, status=USAGE)
    if month.end(ZoneInfo(config.station.timezone)) > now:
        say(f"note: {month} is not over: it is delivered as in progress, and as a whole when it has ended")
    rows = _by_daemon(config, month, name)
    if rows is None:
        rows = _from_here(config, month, name)
    context.emit({"month": str(month), "deliveries": rows}, lambda: "\n".join(map(_line, rows)))
    return DONE if all(row.get("state") == "completed" for row in rows) else REFUSED


def _by_daemon(config: AgentConfig, month: Month, name: str | None) -> Sequence[Document] | None:
    """Have the daemon deliver; None where none runs. Raises: CommandFailed."""
    from agent.cli.client import Connection

    request = {"command": "deliver", "month": str(month), **({} if name is None else {"name": name})}
    try:
        with Connection(config.station.state_dir, WITHIN_S) as connection:
            result = connection.ask(request)
    except CommandFailed as error:
        if error.status == NOT_RUNNING:
            return None
        raise
    return [row for row in result if isinstance(row, dict)] if isinstance(result, list) else []


def _from_here(config: AgentConfig, month: Month, name: str | None) -> Sequence[Document]:
    """Deliver without a daemon, under its lock, with the same record. Raises: CommandFailed, AgentError."""
    import asyncio

    from agent.buffer.file import LEDGER
    from agent.buffer.owner import hand_over
    from agent.cli.ledger import entered
    from agent.runtime.logs import configure
    from agent.runtime.possession import acquire

    configure("error", "console")  # what became of it is printed here
    state_dir = config.station.state_dir
    entered(state_dir)
    if not (state_dir / LEDGER).exists():
        raise CommandFailed(f"there is no ledger in {state_dir} yet: start the service once")
    with acquire(state_dir):
        try:
            return asyncio.run(_delivered(config, month, name))
        except ValueError as error:
            raise CommandFailed(str(error), status=USAGE) from error
        finally:
            hand_over(state_dir)


async def _delivered(config: AgentConfig, month: Month, name: str | None) -> Sequence[Document]:
    from agent.buffer.database import open_database
    from agent.buffer.journal import SqliteJournal
    from agent.runtime.clock import SystemClock, boot_id
    from agent.runtime.delivering import office_of

    async with open_database(config.station.state_dir, copied=True) as database:
        boot = await SqliteJournal(database, ()).boot_number(boot_id())
        return await office_of(config, database, SystemClock(boot)).deliver(month, name)


def _line(row: Document) -> str:
    """Return what became of a delivery."""
    name, error = clean(plain(row, "name")), clean(plain(row, "last_error"))
    if row.get("state") == "completed":
        return f"{name}: {plain(row, 'month')} delivered"
    return f"{name}: not delivered: {error}; the service tries again"

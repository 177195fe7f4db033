"""All deliveries of a station: their services, what ``status`` shows of them, and what is asked for by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from agent.core.errors import JournalError
from agent.statement.delivery.plan import Shipment
from agent.statement.delivery.record import Record
from agent.statement.month import Month

if TYPE_CHECKING:  # it loads all that statements are made with
    from agent.statement.delivery.courier import Courier

log = structlog.get_logger(__name__)

Document: TypeAlias = dict[str, object]

NONE: Final = "no delivery is configured: add a section [[delivery]] (docs/statements.md)"
SHOWN: Final = 13
"""Of each delivery so many months that have arrived are shown, the newest; all that have not."""


@dataclass(frozen=True, slots=True)
class Office:
    """The couriers, in the order of the configuration."""

    couriers: tuple[Courier, ...]
    record: Record

    async def tidy(self) -> None:
        """Forget the recipients that are no longer configured."""
        try:
            await self.record.forget(frozenset(courier.name for courier in self.couriers))
        except JournalError as error:
            log.debug("recipients that are configured no more are forgotten later", cause=str(error))

    def view(self) -> list[Document]:
        """Return one row per delivery and month, as ``status --json`` has them."""
        return [self._row(row) for courier in self.couriers for row in _shown(courier.rows())]

    async def ask(self, month: Month, name: str | None) -> list[Document]:
        """Have statements delivered now by the services that run; name: by this one only, else by all.

        Returns their rows. Raises: ValueError for a name that there is not, Ended.
        """
        rows = await asyncio.gather(*(courier.ask(month) for courier in self._named(name)))
        return [self._row(row) for row in rows]

    async def deliver(self, month: Month, name: str | None) -> list[Document]:
        """Deliver statements now, without any service. Raises: ValueError as above, JournalError."""
        return [self._row(await self._opened(courier, month)) for courier in self._named(name)]

    async def _opened(self, courier: Courier, month: Month) -> Shipment:
        await courier.open()
        return await courier.deliver(month)

    def _named(self, name: str | None) -> Sequence[Courier]:
        if not self.couriers:
            raise ValueError(NONE)
        chosen = [courier for courier in self.couriers if name is None or courier.name.casefold() == name.casefold()]
        if not chosen:
            known = ", ".join(courier.name for courier in self.couriers)
            raise ValueError(f"there is no delivery {name!r}: configured are {known}")
        return chosen

    @staticmethod
    def _row(row: Shipment) -> Document:
        return {
            "name": row.name,
            "month": str(row.month),
            "state": row.standing.value,
            "attempts": row.attempts,
            "last_error": row.error,
            "next_try": None if row.following is None else f"{row.following:%Y-%m-%dT%H:%M:%SZ}",
        }


def _shown(rows: Sequence[Shipment]) -> Sequence[Shipment]:
    arrived = [row for row in rows if not row.pending]
    return [row for row in rows if row.pending or row in arrived[-SHOWN:]]

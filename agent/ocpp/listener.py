"""A central system that only listens (contract, promise 16): it gets what the others get, and decides nothing.

Its service is the same as that of the commanding one; here is what is left of it at both ends. Its commands are refused
by the core, which knows who commands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from agent.core.commands import ChangeSetting
from agent.core.effects import Answer, Effect, ReportStatus, ReportTriggered, SendTriggered
from agent.core.events import CommandReceived, Event
from agent.core.instant import Instant
from agent.core.maintenance_effects import SendNotice
from agent.ocpp.dialect import StationView
from agent.ocpp.errands import BOOT
from agent.ocpp.service import OcppService, ServiceStatus

NOT_SUPPORTED: Final = frozenset({"SetChargingProfile"})
"""Actions that a central system cannot even ask for that only listens (contract, promise 16)."""


class Edge:
    """What a service that only reports is given in place of loop, clock and view."""

    def __init__(self, post: Callable[[Event], None], view: Callable[[], StationView]) -> None:
        """Pass on to ``post`` what the core answers, and nothing that would move it."""
        self._post = post
        self._view = view
        self._heartbeat_s: int | None = None

    def post(self, event: Event) -> None:
        """Take an event of the service; its interval of heartbeats is its own affair."""
        match event:
            case CommandReceived(call, ChangeSetting(_, int(interval))) if call.message_id == BOOT:
                self._heartbeat_s = interval
            case CommandReceived():
                self._post(event)
            case _:
                return

    def view(self) -> StationView:
        """Return the station as it is, with the heartbeat interval that this central system asked for."""
        seen = self._view()
        if self._heartbeat_s is None:
            return seen
        return replace(seen, settings=replace(seen.settings, heartbeat_interval_s=self._heartbeat_s))

    def told(self, source: str, wall: datetime, received: Instant) -> None:
        """Ignore what time a central system says it is that only listens."""


class Listener:
    """Implements the port Destination for it."""

    def __init__(self, service: OcppService) -> None:
        """Tell ``service`` of statuses, and what is answered to its own requests."""
        self._service = service

    def perform(self, effect: Effect) -> None:
        """Take an effect; never waits. The core knows only the commanding system's names of transactions."""
        match effect:
            case ReportStatus() | Answer() | SendTriggered() | SendNotice():
                self._service.perform(effect)
            case ReportTriggered():
                self._service.perform(replace(effect, transaction=None))
            case _:
                return

    def facts_committed(self) -> None:
        """There may be something new in the lane."""
        self._service.facts_committed()

    def status(self) -> ServiceStatus:
        """Return how the link stands."""
        return self._service.status()

"""The central systems of a station: the one that commands, and those that only listen, each with a lane of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.buffer.database import Database
from agent.buffer.deliveries import CLOUD, SECURITY
from agent.buffer.journal import SqliteJournal
from agent.buffer.outbox_store import OutboxStore
from agent.core.events import Event
from agent.core.model import EvseId, SessionId
from agent.ocpp.access import Access
from agent.ocpp.dialect import Identity, StationView
from agent.ocpp.link import Endpoint
from agent.ocpp.listener import NOT_SUPPORTED, Edge, Listener
from agent.ocpp.negotiate import offered
from agent.ocpp.security import Credentials
from agent.ocpp.service import OcppService, ServiceConfig, ServiceStatus
from agent.runtime.clock import SystemClock
from agent.runtime.config import AgentConfig
from agent.runtime.config.sections import Cloud
from agent.runtime.foundation import version
from agent.runtime.halls import Hall
from agent.runtime.status import CloudState, CloudView


def destinations(config: AgentConfig) -> tuple[str, ...]:
    """Return the names of the lanes that a session gets, the commanding central system's first."""
    return (CLOUD, *config.listeners())


@dataclass(frozen=True, slots=True)
class Site:
    """What all services of a station share; access: how the commanding central system is reached."""

    config: AgentConfig
    clock: SystemClock
    database: Database
    journal: SqliteJournal
    halls: Mapping[EvseId, Hall]
    post: Callable[[Event], None]
    view: Callable[[], StationView]
    access: Access | None = None


class Clouds:
    """The services and lanes of a station."""

    def __init__(self, site: Site) -> None:
        """Build them as they are configured; opens nothing."""
        config = site.config
        self._site = site
        self.outboxes = {name: OutboxStore(site.database, name) for name in destinations(config)}
        self.commanding = self._service(CLOUD, config.cloud, config.credentials(), None)
        self._listening = {name: self._service(name, *own, self._edge()) for name, own in config.listeners().items()}
        self.listeners = {name: Listener(service) for name, service in self._listening.items()}

    @property
    def services(self) -> tuple[OcppService, ...]:
        """All services, the commanding one first."""
        return (self.commanding, *self._listening.values())

    async def resend(self, session: str) -> int:
        """Put what was given up of a session back into every lane; return how many messages that is.

        Raises: JournalError.
        """
        await self._site.journal.check()
        again = [await outbox.resend(SessionId(session)) for outbox in self.outboxes.values()]
        for service in self.services:
            service.facts_committed()
        return sum(again)

    def views(self) -> dict[str, CloudView]:
        """Return how each link stands, by name, the commanding one first."""
        return {service.config.name: seen(service.status()) for service in self.services}

    def _edge(self) -> Edge:
        return Edge(self._site.post, self._site.view)

    def _service(self, name: str, cloud: Cloud, credentials: Credentials, edge: Edge | None) -> OcppService:
        site = self._site
        return OcppService(
            ServiceConfig(
                name=name,
                endpoint=endpoint_of(site.config, cloud, credentials),
                identity=self._identity,
                evse_ids=tuple(c.evse_id for c in site.config.connectors if c.evse_id is not None),
                serials=self._serials,
                not_supported=frozenset() if edge is None else NOT_SUPPORTED,
            ),
            clock=site.clock,
            outbox=self.outboxes[name],
            time_sink=site.clock if edge is None else edge,
            post=site.post if edge is None else edge.post,
            view=site.view if edge is None else edge.view,
            chance=random.random,
            anchor=site.journal.anchor,
            alarms=OutboxStore(site.database, SECURITY) if edge is None else None,
            access=site.access if edge is None else None,
        )

    def _serials(self) -> tuple[str, ...]:
        return tuple(h.meter.serial for h in self._site.halls.values() if h.meter.serial is not None)

    def _identity(self) -> Identity:
        station, first = self._site.config.station, self._site.halls[EvseId(1)].meter
        return Identity(
            vendor=station.vendor,
            model=station.model,
            firmware=version(),
            serial_number=station.serial_number,
            meter_type=first.model,
            meter_serial=first.serial,
        )


def endpoint_of(config: AgentConfig, cloud: Cloud, credentials: Credentials) -> Endpoint:
    """Return where the configuration file says that a central system is."""
    return Endpoint(
        url=cloud.url,
        station_id=config.station.id,
        protocols=offered(cloud.protocols),
        credentials=credentials,
        user_agent=f"wallbox-agent/{version()}",
    )


def seen(status: ServiceStatus) -> CloudView:
    """Return what ``status`` shows of a link."""
    return CloudView(CloudState(status.state), status.protocol, status.registration, status.queued, status.last_error)

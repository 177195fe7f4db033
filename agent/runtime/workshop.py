"""Puts together what firmware and log uploads need, as it is configured."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from agent.buffer.private_file import put_whole
from agent.core.errors import ConfigError
from agent.core.events import Event
from agent.core.maintenance_commands import LogKind
from agent.core.maintenance_effects import SendLog
from agent.core.policy import Policy
from agent.maintenance.bundle import packed
from agent.maintenance.http import Web
from agent.maintenance.slots import slots
from agent.ocpp.security import Credentials, tls_context, trust
from agent.ports import Clock, Installer
from agent.runtime.clerk import Clerk, SecurityLog, Workshop
from agent.runtime.config import AgentConfig
from agent.runtime.diagnostics import Live, Window, texts
from agent.runtime.foundation import version
from agent.runtime.recent import Recent, before
from agent.trust.store import Store


@dataclass(frozen=True, slots=True)
class Sources:
    """What uploads are made of; recent: None where nobody keeps the log."""

    status: Callable[[], Mapping[str, object]]
    recent: Recent | None
    security_log: SecurityLog

    def live(self, state_dir: Path, window: Window) -> Live:
        """Return what is known at this moment."""
        lines = [] if self.recent is None else self.recent.lines(window.since, window.until)
        return Live(self.status(), lines, before(state_dir))


def installer(config: AgentConfig) -> Installer | None:
    """Return what installs firmware here, None where nothing does."""
    return slots(dict(os.environ), config.path.absolute())


def fitted(policy: Policy, installs: Installer | None) -> Policy:
    """Return the policy with what is known of the firmware that runs."""
    return replace(
        policy,
        version=version(),
        updatable=installs is not None,
        trial=None if installs is None else installs.trial(),
    )


def clerk(
    config: AgentConfig, installs: Installer | None, sources: Sources, *, clock: Clock, post: Callable[[Event], None]
) -> Clerk:
    """Return who carries out what the core orders of maintenance; opens nothing."""
    shop = Workshop(
        state_dir=config.station.state_dir,
        web=Web(f"wallbox-agent/{version()}", partial(_trust, config)),
        installer=installs,
        roots=partial(_roots, config),
        prepare=partial(_prepared, config, sources, clock),
    )
    return Clerk(shop, clock, post)


def _prepared(config: AgentConfig, sources: Sources, clock: Clock, order: SendLog) -> Callable[[Path], None]:
    """Take a snapshot for an upload, and return what writes it into a file."""
    asked, now = order.order, clock.now().wall
    if asked.kind is LogKind.SECURITY:
        return lambda path: put_whole(path, sources.security_log(asked.since, asked.until).encode())
    window = Window(asked.since, asked.until)
    live = sources.live(config.station.state_dir, window)
    return lambda path: put_whole(path, packed(texts(config, live, now, window), now))


def _trust(config: AgentConfig) -> ssl.SSLContext:
    """Return a context that trusts the CAs of the system, and those that the central system's server has."""
    context = tls_context(Credentials())
    if config.cloud.ca_file is not None:
        try:
            trust(context, config.cloud.ca_file)
        except ValueError as error:
            raise ConfigError(f"cloud.ca_file: {config.cloud.ca_file} {error}") from error
    return context


def _roots(config: AgentConfig) -> Iterable[bytes]:
    """Yield the manufacturers' certificates as they are now: whoever changes the file need not restart anything."""
    path = config.document.firmware.root_file
    if path is not None:
        with suppress(OSError):
            yield path.read_bytes()
    for root in Store(config.station.state_dir).load().manufacturer:
        yield root.pem.encode()

"""The couriers of the deliveries that the configuration asks for."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Final

from agent import __version__
from agent.ports import Clock
from agent.runtime.config import AgentConfig
from agent.runtime.config.sections import Delivery
from agent.runtime.config.statements import form_of, site_of
from agent.statement.delivery.courier import Courier
from agent.statement.delivery.folder import Folder
from agent.statement.delivery.https import Https
from agent.statement.delivery.mail import Mail
from agent.statement.delivery.parcel import Press, Way
from agent.statement.delivery.record import Record

SUBMISSIONS: Final = 465
"""The port of mail servers that speak TLS from the first byte (RFC 8314, section 3.3)."""
LITERAL: Final = re.compile(r"[0-9.]+|[0-9a-fA-F:]*:[0-9a-fA-F:.]*")


def couriers_of(config: AgentConfig, record: Record, clock: Clock) -> tuple[Courier, ...]:
    """Return one courier for each delivery; nothing is opened."""
    press = Press(config.station.state_dir, site_of(config), form_of(config))
    return tuple(
        Courier(_way(one, config.secrets.get(one.name)), record, press, clock=clock, chance=random.random)
        for one in config.document.delivery
    )


def _way(delivery: Delivery, credential: Path | None) -> Way:
    name, formats = delivery.name, delivery.format
    if delivery.type == "folder" and delivery.path is not None:
        return Folder(name, formats, delivery.path)
    if delivery.type == "https" and delivery.url is not None:
        agent, token = f"wallbox-agent/{__version__}", credential or delivery.token_file
        return Https(name, formats, delivery.url, agent, token=token, ca_file=delivery.ca_file)
    return _mail(delivery, credential)


def _mail(delivery: Delivery, credential: Path | None) -> Mail:
    host, port = delivery.host, delivery.port or SUBMISSIONS
    if host is None or delivery.to is None:
        raise AssertionError(f"delivery {delivery.name}: the rules let a delivery pass that lacks a key")
    implicit = port == SUBMISSIONS if delivery.tls is None else delivery.tls == "implicit"
    return Mail(
        delivery.name,
        delivery.format,
        host,
        port,
        implicit=implicit,
        sender=delivery.sender or _sender(delivery.user, host),
        to=delivery.to,
        user=delivery.user,
        password=credential or delivery.password_file,
        ca_file=delivery.ca_file,
    )


def _sender(user: str | None, host: str) -> str:
    """Return whom a letter is from where nobody says: the user, who is an address at most mail servers."""
    if user is not None and "@" in user:
        return user
    domain = f"[{host}]" if LITERAL.fullmatch(host) else host
    return f"{user or 'wallbox-agent'}@{domain}"

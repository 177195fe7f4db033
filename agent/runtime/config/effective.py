"""The configuration in force: what the parts of the program take from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from agent.core.errors import ConfigError
from agent.core.model import EvseId, MilliAmp
from agent.core.policy import EvsePolicy, Policy
from agent.core.prices import PriceBlock
from agent.core.settings import Settings
from agent.core.tariff import Tariff
from agent.ocpp.security import Credentials
from agent.runtime.config.prices import basis_of, flat_of, hourly_of, tariff_of, unpriced_year
from agent.runtime.config.rules import BASIC, CERTIFICATE
from agent.runtime.config.schema import Keys
from agent.runtime.config.sections import Cloud, Connector, Document, Log, Rfid, Station

VOLT: Final = Decimal(230)
PASSWORD_BYTES: Final = ("utf-8", "surrogateescape")
"""How the bytes of a password become a text, and back."""
HEADROOM: Final = Decimal("1.2")
"""So much more than the installation's current lets through is still no impossible rise of the register."""


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """The whole configuration, checked.

    path: the file; document: every key with the value in force; password: of the central system, from wherever it was
    given, bytes of a file that are no UTF-8 as surrogates (PEP 383); secrets: credentials of
    deliveries, by name; notes: what is accepted and has no effect, one line each; origins: place of a key -> where its
    value comes from, only for keys that were given.
    """

    path: Path
    document: Document
    password: SecretStr | None = None
    passwords: tuple[SecretStr | None, ...] = ()
    secrets: Mapping[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    origins: Mapping[Keys, str] = field(default_factory=dict)

    @property
    def station(self) -> Station:
        """Who the station is, and its state directory."""
        return self.document.station

    @property
    def cloud(self) -> Cloud:
        """The central system; its password is ``AgentConfig.password``."""
        return self.document.cloud

    def credentials(self) -> Credentials:
        """Return how the station proves itself to the central system; only profiles 1 and 2 send the password."""
        return _credentials(self.cloud, self.password)

    def listeners(self) -> Mapping[str, tuple[Cloud, Credentials]]:
        """Return the central systems that only listen, by name, and how the station proves itself to each."""
        return {
            other.name: (other, _credentials(other, secret))
            for other, secret in zip(self.document.report_to, self.passwords, strict=True)
        }

    @property
    def rfid(self) -> Rfid:
        """The card reader."""
        return self.document.rfid

    @property
    def connectors(self) -> tuple[Connector, ...]:
        """One or two; the first is EVSE 1."""
        return self.document.connector

    @property
    def log(self) -> Log:
        """Level and form of the log."""
        return self.document.log

    def tariff(self) -> Tariff | None:
        """Return the default tariff as an OCPI tariff, None where the file has none."""
        keys = self.document.tariff
        return None if keys is None else tariff_of(keys, basis_of(self.document))

    def hourly(self) -> tuple[PriceBlock, ...]:
        """Return the supplier's prices by the hour, empty where they are not the basis. Raises: ConfigError."""
        try:
            return hourly_of(self.document)
        except ValueError as error:  # it was good a moment ago
            raise ConfigError(f"{self.path}: statement.hourly_prices: {error}") from error

    def unpriced(self, now: datetime) -> tuple[str, bool] | None:
        """Return what to do about a year without a flat price, and whether it is this one; None where none is near."""
        today = now.astimezone(ZoneInfo(self.station.timezone)).date()
        year = unpriced_year(self.document, today)
        if year is None:
            return None
        place = self.origins.get(("statement", "flat_price"), "default")
        words = f"statement.flat_price: has no price for {year} ({place})"
        remedy = f"add {year} = and the price, else sessions that end in {year} have no cost"
        return f"{words}; {remedy}", year == today.year

    def notes_at(self, now: datetime) -> tuple[str, ...]:
        """Return the notes, and what a year lacks."""
        unpriced = self.unpriced(now)
        return self.notes if unpriced is None else (*self.notes, unpriced[0])

    def policy(self) -> Policy:
        """Return what the core's decisions depend on."""
        return Policy(
            evses=tuple(_evse(EvseId(number), connector) for number, connector in enumerate(self.connectors, 1)),
            timezone=self.station.timezone,
            tariff=self.tariff(),
            basis=basis_of(self.document),
            hourly=self.hourly(),
            flat=flat_of(self.document),
            settings=Settings(security_profile=self.cloud.security_profile),
            company_code=self.cloud.company_code,
            same_card_pause_s=self.rfid.same_card_pause,
            reader=self.rfid.reader != "none",
            listeners=frozenset(other.name for other in self.document.report_to),
        )


def password_of(secret: SecretStr | None) -> bytes | None:
    """Return a password as it is sent, None without one; not every profile sends it."""
    return None if secret is None else secret.get_secret_value().encode(*PASSWORD_BYTES)


def _credentials(cloud: Cloud, secret: SecretStr | None) -> Credentials:
    if cloud.security_profile == CERTIFICATE:
        return Credentials(None, cloud.ca_file, (), cloud.client_cert_file, cloud.client_key_file)
    sent = secret if cloud.security_profile in BASIC else None
    return Credentials(password_of(sent), cloud.ca_file)


def _evse(number: EvseId, connector: Connector) -> EvsePolicy:
    return EvsePolicy(
        id=number,
        max_current=_milliamp(connector.max_current),
        phases=connector.phases,
        max_power_w=connector.meter.max_power or _impossible(connector),
        meter_grace_s=connector.meter.meter_grace,
        poll_s=connector.meter.poll_interval,
        watchdog_s=connector.evse.watchdog,
        failsafe=_milliamp(connector.evse.failsafe_current),
        controlled=connector.evse.controller != "none",
    )


def _milliamp(amps: Decimal) -> MilliAmp:
    return MilliAmp(int(amps * 1000))


def _impossible(connector: Connector) -> int:
    return int((HEADROOM * power_of(connector)).to_integral_value(ROUND_HALF_UP))


def power_of(connector: Connector) -> Decimal:
    """Return the power (W) that the installation lets through."""
    return connector.max_current * connector.phases * VOLT

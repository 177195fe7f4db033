"""What the configuration says of statements: the station they are about, and how their files look."""

from __future__ import annotations

from agent.core.tariff import Basis
from agent.runtime.config.effective import AgentConfig
from agent.runtime.config.hardware import Hardware, installed
from agent.runtime.config.sections import Connector
from agent.statement.files import Form
from agent.statement.model import Device, Location, Site


def site_of(config: AgentConfig) -> Site:
    """Return the station as installed."""
    station, tariff, statement = config.station, config.tariff(), config.document.statement
    hardware = installed()
    place = config.document.location
    return Site(
        station=station.id,
        timezone=station.timezone,
        devices=tuple(_device(connector, hardware) for connector in config.connectors),
        location=Location() if place is None else Location(**place.model_dump()),
        vendor=station.vendor,
        model=station.model,
        serial_number=station.serial_number,
        currency=None if tariff is None else tariff.currency,
        basis=Basis.TARIFF if statement is None else Basis(statement.basis),
    )


def form_of(config: AgentConfig, language: str | None = None, csv_flavour: str = "standard") -> Form:
    """Return how files look; language: another one than the configuration's."""
    statement = config.document.statement
    if statement is None:
        return Form(language or "en", csv_flavour=csv_flavour)
    return Form(language or statement.language, statement.letterhead, statement.logo, csv_flavour)


def _device(connector: Connector, hardware: Hardware) -> Device:
    meter = connector.meter
    definition = hardware.meter(meter.model)
    maker = meter.model if definition is None else definition.model
    return Device(connector.evse_id, meter.model, maker, meter.mid, connector.phases)

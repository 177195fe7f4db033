"""Notes: keys that are right but have no effect, so that none is silently ignored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from agent.runtime.config import hardware as devices
from agent.runtime.config.effective import power_of
from agent.runtime.config.hardware import Hardware
from agent.runtime.config.rules import BASIC, CERTIFICATE, OFFERED
from agent.runtime.config.schema import Keys, Problem
from agent.runtime.config.sections import (
    Cloud,
    Connector,
    Delivery,
    Document,
    Line,
    Rfid,
    Section,
    Statement,
)

LATER: Final = "not part of this release"
#: Sections whose function comes later -> what does not happen.
SECTIONS_LATER: Final = {
    "mqtt": f"MQTT is {LATER}",
    "metrics": f"metrics are {LATER}",
}
SERIAL_KEYS: Final = frozenset({"device", "baudrate", "parity", "stopbits"})
NETWORK_KEYS: Final = frozenset({"host", "port"})
LINE_KEYS: Final = SERIAL_KEYS | NETWORK_KEYS | {"transport", "address"}
EVSE_OPTIONS: Final = frozenset(
    {"local_port", "failsafe_current", "watchdog", "on_exit", "precise", "variant", "connector"}
)
READER_BASICS: Final = frozenset({"reader", "same_card_pause"})
READER_LINE: Final = frozenset({"device", "baudrate"})
DELIVERY_KEYS: Final = {
    "folder": frozenset({"path"}),
    "https": frozenset({"url", "token_file", "ca_file"}),
    "mail": frozenset({"host", "port", "tls", "sender", "to", "user", "password_file", "ca_file"}),
}


def notes_of(document: Document, hardware: Hardware) -> Iterator[Problem]:
    """Yield what is accepted and has no effect, or looks like a mistake, in the order of the sections."""
    yield from _station(document)
    yield from _cloud(("cloud",), document.cloud)
    for number, other in enumerate(document.report_to):
        keys = ("report_to", number)
        yield from _cloud(keys, other)
        yield from _unused(keys, other, ("company_code",), "a central system that only listens")
    for name, words in SECTIONS_LATER.items():
        if getattr(document, name):
            yield Problem((name,), words)
    yield from _reader(document.rfid, hardware)
    for number, connector in enumerate(document.connector):
        yield from _connector(("connector", number), connector, hardware)
    yield from _statement(document.statement)
    for number, delivery in enumerate(document.delivery):
        yield from _delivery(("delivery", number), delivery)
    if document.page.enabled:
        yield Problem(("page", "enabled"), f"the status page is {LATER}")


def _station(document: Document) -> Iterator[Problem]:
    slots = document.tariff is not None and document.tariff.slot
    if slots and "timezone" not in document.station.model_fields_set:
        words = f"not given; the hours of tariff.slot are those of this machine's zone, {document.station.timezone}"
        yield Problem(("station", "timezone"), words)


def _cloud(keys: Keys, cloud: Cloud) -> Iterator[Problem]:
    later = [protocol for protocol in cloud.protocols if protocol not in OFFERED]
    if later:
        yield Problem((*keys, "protocols"), f"{', '.join(later)} is {LATER} and is not offered")
    if cloud.security_profile not in BASIC:
        yield from _unused(keys, cloud, ("password", "password_file"), f"security profile {cloud.security_profile}")
    if cloud.security_profile != CERTIFICATE:
        certificate = ("client_cert_file", "client_key_file")
        yield from _unused(keys, cloud, certificate, f"security profile {cloud.security_profile}")
    if cloud.url.startswith("ws://") and cloud.url_secure is None:
        yield from _unused(keys, cloud, ("ca_file",), "a url without TLS")


def _reader(rfid: Rfid, hardware: Hardware) -> Iterator[Problem]:
    line = frozenset() if rfid.reader == "none" else READER_LINE
    heeded = READER_BASICS | line | hardware.readers.get(rfid.reader, frozenset())
    for name in sorted(rfid.model_fields_set - heeded):
        having = sorted(reader for reader, options in devices.READER_OPTIONS.items() if name in options)
        instead = f", only with {', '.join(having)}" if having else ""
        yield from _unused(("rfid",), rfid, (name,), f"reader {rfid.reader}{instead}")


def _connector(keys: Keys, connector: Connector, hardware: Hardware) -> Iterator[Problem]:
    meter, evse = connector.meter, connector.evse
    yield from _line((*keys, "meter"), meter)
    if evse.controller in devices.MODBUS_CONTROLLERS:
        yield from _line((*keys, "evse"), evse)
    elif evse.controller in devices.WITHOUT_LINE:
        yield from _unused((*keys, "evse"), evse, sorted(LINE_KEYS), f"controller {evse.controller}")
    given = sorted(evse.model_fields_set & EVSE_OPTIONS - hardware.options(evse.controller))
    yield from _unused((*keys, "evse"), evse, given, f"controller {evse.controller}")
    if meter.max_power is not None and meter.max_power < power_of(connector):
        words = f"{meter.max_power} W is less than the connector can draw ({power_of(connector):.0f} W)"
        yield Problem((*keys, "meter", "max_power"), f"{words}; a full charge would be taken for a fault of the meter")


def _line(keys: Keys, line: Line) -> Iterator[Problem]:
    unused = NETWORK_KEYS if line.transport == "rtu" else SERIAL_KEYS
    yield from _unused(keys, line, sorted(unused), f"transport {line.transport}")


def _statement(statement: Statement | None) -> Iterator[Problem]:
    if statement is None:
        return
    if statement.logo is not None:
        from agent.statement.paper import picture  # noqa: PLC0415  # costs start-up time that few configurations need

        try:
            picture.check(statement.logo)
        except ValueError as error:
            yield Problem(("statement", "logo"), f'"{statement.logo}" {error}; until then no PDF can be made')
    for basis, name in (("hourly", "hourly_prices"), ("flat", "flat_price")):
        if statement.basis != basis:
            yield from _unused(("statement",), statement, (name,), f"basis {statement.basis}")
    if statement.basis == "hourly" and statement.hourly_prices is None:
        yield Problem(
            ("statement", "hourly_prices"), "is not set: sessions have no cost until the company sends prices"
        )


def _delivery(keys: Keys, delivery: Delivery) -> Iterator[Problem]:
    others = frozenset().union(*DELIVERY_KEYS.values()) - DELIVERY_KEYS[delivery.type]
    yield from _unused(keys, delivery, sorted(others), f"type {delivery.type}")
    if delivery.type == "folder" and delivery.path is not None and not delivery.path.is_dir():
        words = f'"{delivery.path}" is no directory; create it, or mount its disk; until then nothing is delivered'
        yield Problem((*keys, "path"), words)


def _unused(keys: Keys, section: Section, names: Iterable[str], where: str) -> Iterator[Problem]:
    for name in names:
        if getattr(section, name) != type(section).model_fields[name].default:
            yield Problem((*keys, name), f"is not used with {where}")

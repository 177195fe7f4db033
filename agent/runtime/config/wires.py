"""Rules for devices: which can be driven, what is needed to reach them, and what holds on a wire that two share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.core.errors import ConfigError
from agent.fieldbus.definition import Definition, available
from agent.fieldbus.line import LineSettings, Transport
from agent.runtime.config import hardware as devices
from agent.runtime.config.hardware import Hardware
from agent.runtime.config.schema import Keys, Problem, similar
from agent.runtime.config.sections import Document, Evse, Line, Meter, Rfid
from agent.runtime.config.values import is_definition, readable

RTU_ADDRESSES: Final = range(1, 248)
#: What devices on one wire have in common.
COMMON: Final = ("transport", "baudrate", "parity", "stopbits")


@dataclass(frozen=True, slots=True)
class _User:
    """A device on a Modbus wire: where its keys are, what they are called, and the line and address that it has."""

    keys: Keys
    name: str
    given: Line
    line: LineSettings
    address: int


def device_problems(document: Document, hardware: Hardware) -> Iterator[Problem]:
    """Yield what is wrong with meters, controllers and reader."""
    users: list[_User] = []
    for number, connector in enumerate(document.connector):
        keys: Keys = ("connector", number)
        label = "connector" if len(document.connector) == 1 else f"connector[{number + 1}]"
        yield from _meter((*keys, "meter"), connector.meter, hardware)
        yield from _controller((*keys, "evse"), connector.evse, hardware)
        with suppress(ConfigError):
            meter = hardware.meter(connector.meter.model)
            users += _user((*keys, "meter"), f"{label}.meter", connector.meter, meter)
        controller = hardware.controller(connector.evse.controller)
        users += _user((*keys, "evse"), f"{label}.evse", connector.evse, controller)
    yield from _reader(document.rfid, hardware)
    for number, user in enumerate(users):
        others = [other for other in users[:number] if other.line.key == user.line.key]
        yield from _differences(user, others)
        yield from _same_address(user, others)
    yield from _on_readers_port(document.rfid, users)


def _meter(keys: Keys, meter: Meter, hardware: Hardware) -> Iterator[Problem]:
    yield from _reachable(keys, meter)
    try:
        if is_definition(meter.model):
            readable(Path(meter.model))
        if hardware.meter(meter.model) is None:
            yield _no_meter((*keys, "model"), meter.model, hardware)
    except ValueError as error:
        yield Problem((*keys, "model"), f'"{meter.model}" {error}')
    except ConfigError as error:
        yield from (Problem((*keys, "model"), f"the definition is at fault: {text}") for text in error.problems)


def _controller(keys: Keys, evse: Evse, hardware: Hardware) -> Iterator[Problem]:
    if evse.controller not in hardware.driven:
        yield from _not_driven((*keys, "controller"), evse.controller, devices.CONTROLLERS, hardware.driven)
    if evse.controller in devices.MODBUS_CONTROLLERS:
        yield from _reachable(keys, evse)
    elif evse.controller in devices.SERIAL_CONTROLLERS and evse.device is None:
        yield _serial_missing(keys)
    elif evse.controller in devices.NETWORK_CONTROLLERS and evse.host is None:
        yield _host_missing(keys)
    definition = hardware.controller(evse.controller)
    if definition is not None:
        yield from _choices(keys, evse, definition)


def _choices(keys: Keys, evse: Evse, definition: Definition) -> Iterator[Problem]:
    """Yield what this controller does not offer to choose; what it does not heed at all is another's matter."""
    variants, connectors = definition.variants, definition.connectors
    if variants and evse.variant is not None and evse.variant not in variants:
        words = f'"{evse.variant}" is no variant of {definition.id}; use {_listed(variants)}, or leave it out'
        yield Problem((*keys, "variant"), words)
    if connectors is not None and evse.connector is not None and evse.connector > connectors.most:
        words = f"{evse.connector} is not allowed; {definition.id} has 1 to {connectors.most}"
        yield Problem((*keys, "connector"), words)
    watchdog = None if definition.control is None else definition.control.watchdog
    if watchdog is not None and "watchdog" in evse.model_fields_set:
        least, most = watchdog.least_s, watchdog.most_s
        if not least <= evse.watchdog <= most:
            words = f"{evse.watchdog:g} is not allowed with {definition.id}; use {least} to {most} (s)"
            yield Problem((*keys, "watchdog"), words)


def _reader(rfid: Rfid, hardware: Hardware) -> Iterator[Problem]:
    keys: Keys = ("rfid", "reader")
    if "reader" not in rfid.model_fields_set and rfid.device is not None:
        yield Problem(
            keys, f"missing; name the card reader at {rfid.device}: {_listed(hardware.readers.keys() - {'none'})}"
        )
    if rfid.reader not in hardware.readers:
        yield from _not_driven(keys, rfid.reader, devices.READERS, hardware.readers)
    if rfid.reader in devices.READERS - devices.WITHOUT_DEVICE and rfid.device is None:
        yield Problem(("rfid", "device"), 'missing; add device = "/dev/ttyUSB1", the serial port of the card reader')


def _no_meter(keys: Keys, name: str, hardware: Hardware) -> Problem:
    models = available(hardware.meters)
    covering = "" if similar(name, models) else " or ".join(f'"{model}"' for model in hardware.covering(name))
    hint = f"; did you mean {covering}?" if covering else similar(name, models)
    words = f"is not known; available now: {_listed(models)}, or the path of a definition file (.toml)"
    return Problem(keys, f'"{name}" {words}{hint}')


def _not_driven(keys: Keys, name: str, known: Iterable[str], driven: Iterable[str]) -> Iterator[Problem]:
    if name in known:
        yield Problem(keys, f'"{name}" is not part of this release; available now: {_listed(driven)}')
    else:
        meant = similar(name, [*known, *driven])  # what is likest, or nothing: another meter has other registers
        hint = meant if any(f'"{one}"' in meant for one in driven) else ""
        yield Problem(keys, f'"{name}" is not known; available now: {_listed(driven)}{hint}')


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _reachable(keys: Keys, line: Line) -> Iterator[Problem]:
    if line.transport == "rtu" and line.device is None:
        yield _serial_missing(keys, line.host)
    if line.transport != "rtu" and line.host is None:
        yield _host_missing(keys)
    if line.transport != "tcp" and line.address is not None and line.address not in RTU_ADDRESSES:
        yield Problem(
            (*keys, "address"), f'{line.address} is not allowed; use 1 to 247 with transport "{line.transport}"'
        )


def _serial_missing(keys: Keys, host: str | None = None) -> Problem:
    other = '; or transport = "tcp" for the host that is given' if host else ""
    return Problem((*keys, "device"), f'missing; add device = "/dev/ttyUSB0", the serial port{other}')


def _host_missing(keys: Keys) -> Problem:
    return Problem((*keys, "host"), 'missing; add host = "192.168.1.20", the name or address of the device or bridge')


def _user(keys: Keys, name: str, given: Line, definition: Definition | None) -> Iterator[_User]:
    """Yield the device with its definition's defaults, nothing where it is not known well enough."""
    where = given.device if given.transport == "rtu" else given.host
    if definition is not None and where is not None:
        address = definition.bus.address if given.address is None else given.address
        yield _User(keys, name, given, given.line.completed(definition.bus), address)


def _differences(user: _User, others: list[_User]) -> Iterator[Problem]:
    """Compare with the first on the wire; over TCP the serial settings are the bridge's own."""
    for other in others[:1]:
        for key in COMMON if user.line.transport is other.line.transport is Transport.RTU else COMMON[:1]:
            ours, theirs = getattr(user.line, key), getattr(other.line, key)
            if ours != theirs:
                default = "" if key in user.given.model_fields_set else ", the device's default,"
                words = f"{_quoted(ours)}{default} differs from {_quoted(theirs)} of {other.name} on the same port"
                yield Problem((*user.keys, key), f"{words}; give both the same, and set the devices to it")


def _same_address(user: _User, others: list[_User]) -> Iterator[Problem]:
    for other in others:
        if user.address == other.address:
            default = "" if user.given.address is not None else ", the device's default,"
            words = f"{user.address}{default} is also the address of {other.name} on the same port"
            yield Problem((*user.keys, "address"), f"{words}; give each its own, and set the devices to it")
            return


def _on_readers_port(rfid: Rfid, users: list[_User]) -> Iterator[Problem]:
    sharing = [user for user in users if rfid.device is not None and user.line.key == rfid.line.key]
    for user in sharing[:1]:
        words = f'"{rfid.device}" is also the port of {user.name}; a card reader needs a port of its own'
        yield Problem(("rfid", "device"), words)


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)

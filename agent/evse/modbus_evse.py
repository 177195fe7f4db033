"""An EVSE controller on a Modbus line, understood and told as its definition says.

Source: IEC 61851-1, annex A (pilot states, least current); each definition names the source of its registers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Final

from agent.core.errors import ConfigError, DeviceError, EvseFault
from agent.core.instant import Instant
from agent.core.model import EvseReading, MilliAmp, Pilot
from agent.fieldbus.blocks import BlockReader, plan
from agent.fieldbus.bus import Device, Wire, Wires
from agent.fieldbus.definition import Control, Definition, Image, Point, Rule, Write, available, find
from agent.fieldbus.line import LineSettings, Refused
from agent.fieldbus.registers import encode
from agent.ports import Clock

DEFINITIONS: Final = Path(__file__).with_name("definitions")
UNKNOWN: Final = "unknown"
"""The name of a fault that the controller does not explain."""
FAILSAFE_WRITES: Final = 3
"""The memory of the fail-safe current wears: a controller that does not keep it is not written to for ever."""


@dataclass(frozen=True, slots=True)
class Understood:
    """What the rules make of the registers; None: no rule says."""

    pilot: Pilot | None = None
    connected: bool | None = None
    charging: bool | None = None
    offering: bool | None = None
    paused: bool | None = None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EvseOptions:
    """What the installer chose.

    precise: the controller counts hundredths of an ampere. failsafe: the current that it shall offer by itself, where
    it has a register for it; None leaves that as it is.
    """

    precise: bool = False
    failsafe: MilliAmp | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The options of definitions that are chosen."""
        return ("precise",) if self.precise else ()


@dataclass(frozen=True, slots=True)
class EvseSettings:
    """Which controller is where; address: Modbus device id, None for the definition's."""

    controller: str
    line: LineSettings
    address: int | None = None
    options: EvseOptions = EvseOptions()


def available_controllers() -> tuple[str, ...]:
    """Return the ids of the Modbus controllers that are known, sorted."""
    return available(DEFINITIONS)


def open_evse(settings: EvseSettings, wires: Wires, clock: Clock) -> ModbusEvse:
    """Return the controller; its port is opened with the first poll. Raises: ConfigError."""
    definition = find(DEFINITIONS, settings.controller)
    wire = wires.get(settings.line.completed(definition.bus))
    address = settings.address or definition.bus.address
    return ModbusEvse(wire, definition, address=address, clock=clock, options=settings.options)


class ModbusEvse:
    """Implements the port Evse."""

    def __init__(
        self, wire: Wire, definition: Definition, *, address: int, clock: Clock, options: EvseOptions = EvseOptions()
    ) -> None:
        """Control the device at ``address`` on ``wire``; sends nothing yet.

        Raises: ConfigError for a definition that is no controller's, or an option that it does not have.
        """
        for name in options.names:
            if name not in definition.options:
                raise ConfigError(f"{name}: {definition.id} has no such option")
            definition = definition.with_option(name)
        if definition.control is None:
            raise ConfigError(f"{definition.id}: the definition has no [control]: it is no controller")
        self.definition = definition
        self._control: Control = definition.control
        self._options = options
        self._clock = clock
        self._device: Device = wire.device("controller", address, definition.bus)
        self._polled = BlockReader(self._device, plan(definition, definition.points.poll))
        self._prepared: int | None = None
        self._failsafe_writes = 0

    async def read(self) -> EvseReading:
        """Poll once; see the port."""
        with _evse_fault():
            await self._prepare()
            image: Image = await self._polled.read()
            at = self._clock.now()
            reading = self._reading(image, at)
            if reading.faults:
                image = {**image, **await self._reason()}
                reading = self._reading(image, at)
            return reading

    async def set_limit(self, limit: MilliAmp) -> None:
        """Offer at most this current; see the port. Below the least that a pilot can tell nothing is offered."""
        least, most = 1000 * self._control.minimum_a, 1000 * self._control.maximum_a
        with _evse_fault():
            if limit < least:
                await self._write(self._control.pause)
                return
            await self._prepare()
            offer = Write(self._control.limit, self._raw(MilliAmp(min(limit, most))))
            await self._write((offer, *self._control.resume))

    async def _write(self, writes: Sequence[Write]) -> None:
        for write in writes:
            point = self.definition.points.poll[write.point]
            await self._device.write(self._control.function, point.address, (write.value,))

    def _raw(self, limit: MilliAmp) -> int:
        """Return the register's value for a current, rounded down."""
        point = self.definition.points.poll[self._control.limit]
        return int(Decimal(limit) / 1000 / point.scale)

    async def _reason(self) -> Image:
        """Read what older firmware tells only one by one; that it does not is no failure."""
        try:
            return await self._polled.read_left_out()
        except DeviceError:
            return {}

    async def _prepare(self) -> None:
        """Check how the controller counts, and its fail-safe current, whenever another one may be there."""
        misses = self._device.misses
        if self._prepared == misses:
            return
        for name in self._options.names:
            await self._check(name)
        await self._keep_failsafe()
        self._prepared = misses

    async def _check(self, option: str) -> None:
        check = self.definition.options[option].check
        if check is None:
            return
        point = self.definition.points.inspection[check.point]
        word = await self._word(point)
        if word is not None and not word >> check.bit & 1:
            raise EvseFault(
                f"{self._device.place}: the option {option} is set, but not in the controller (register "
                f"{point.address}, bit {check.bit}): limits would mean other currents; clear the option or set the bit"
            )

    async def _keep_failsafe(self) -> None:
        """Write the fail-safe current where it is another one."""
        wanted, name = self._options.failsafe, self._control.failsafe
        if wanted is None or name is None or self._failsafe_writes >= FAILSAFE_WRITES:
            return
        point = self.definition.points.inspection[name]
        amperes = Decimal(wanted) / 1000 / point.scale if wanted >= 1000 * self._control.minimum_a else Decimal(0)
        words = encode(amperes.to_integral_value(rounding="ROUND_FLOOR"), point.type, point.word_order)
        if await self._word(point) not in {None, words[0]}:
            self._failsafe_writes += 1
            await self._device.write(self._control.function, point.address, words)

    async def _word(self, point: Point) -> int | None:
        """Return a register that older firmware may not have; None where it refuses."""
        try:
            return (await self._device.read(point.function, point.address, 1, urgent=True))[0]
        except Refused:
            return None

    def _reading(self, image: Image, at: Instant) -> EvseReading:
        known = understand(self._control.rules, self.definition.points.poll, image)
        amperes = self.definition.value(self._control.limit, image)
        limit = MilliAmp(int(amperes * 1000)) if isinstance(amperes, Decimal) else None
        return EvseReading(
            at,
            known.pilot,
            known.connected,
            known.charging,
            known.offering,
            MilliAmp(0) if known.paused else limit,
            known.faults,
        )


def understand(rules: Iterable[Rule], points: Mapping[str, Point], image: Image) -> Understood:
    """Apply the rules in their order to the words that were read."""
    known = Understood()
    for rule in rules:
        if not _applies(rule, points, image):
            continue
        said = {field.name: getattr(rule, field.name) for field in fields(Understood) if field.name != "faults"}
        known = replace(known, **{name: value for name, value in said.items() if value is not None})
        if rule.fault is not None:
            known = replace(known, faults=(*known.faults, rule.fault))
    explained = tuple(fault for fault in known.faults if fault != UNKNOWN)
    return replace(known, faults=explained or known.faults)


def _applies(rule: Rule, points: Mapping[str, Point], image: Image) -> bool:
    for name, values in rule.when.items():
        if points[name].raw(image) not in values:
            return False
    for name, bit in rule.bits.items():
        word = points[name].raw(image)
        if not isinstance(word, Decimal) or not int(word) >> bit & 1:
            return False
    return True


@contextmanager
def _evse_fault() -> Iterator[None]:
    try:
        yield
    except EvseFault:
        raise
    except DeviceError as error:
        raise EvseFault(str(error)) from error

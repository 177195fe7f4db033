"""An EVSE controller on a Modbus line, understood and told as its definition says.

Source: IEC 61851-1, annex A (pilot states, least current); each definition names the source of its registers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Final

from agent.core.errors import ConfigError, DeviceError, EvseFault
from agent.core.instant import Instant
from agent.core.model import EvseReading, MilliAmp
from agent.evse.understanding import understand
from agent.evse.upkeep import Upkeep, Wanted
from agent.evse.writer import Writer
from agent.fieldbus.blocks import BlockReader, plan
from agent.fieldbus.bus import Device, Wire, Wires
from agent.fieldbus.control import Control
from agent.fieldbus.definition import Definition, available, find
from agent.fieldbus.line import LineSettings
from agent.fieldbus.points import Image
from agent.ports import Clock

DEFINITIONS: Final = Path(__file__).with_name("definitions")
EXPIRED: Final = "watchdog_expired"
"""The name of what looks like a fault but is the controller's watchdog, which had not heard of us."""


@dataclass(frozen=True, slots=True)
class EvseOptions:
    """What the installer chose.

    precise: the controller counts hundredths of an ampere. variant: of the model, None for the usual one. connector: of
    a device with several, from 1. failsafe: the current that it shall offer by itself, where it has a register for it;
    None leaves that as it is. watchdog_s: after so long without us, where it has a watchdog; None for its definition's.
    """

    precise: bool = False
    variant: str | None = None
    connector: int = 1
    failsafe: MilliAmp | None = None
    watchdog_s: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The options of definitions that are chosen."""
        return ("precise",) if self.precise else ()

    def heeded(self, definition: Definition) -> EvseOptions:
        """Return the options without those that this kind of controller knows nothing of."""
        return replace(
            self,
            precise=self.precise and "precise" in definition.options,
            variant=self.variant if definition.variants else None,
            connector=self.connector if definition.connectors else 1,
        )


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
    options = settings.options.heeded(definition)
    return ModbusEvse(wire, definition, address=address, clock=clock, options=options)


class ModbusEvse:
    """Implements the port Evse."""

    def __init__(
        self, wire: Wire, definition: Definition, *, address: int, clock: Clock, options: EvseOptions = EvseOptions()
    ) -> None:
        """Control the device at ``address`` on ``wire``; sends nothing yet.

        Raises: ConfigError for a definition that is no controller's, or an option that it does not have.
        """
        self.definition = fitted(definition, options)
        self._control: Control = controlling(self.definition)
        self._clock = clock
        self._device: Device = wire.device("controller", address, definition.bus)
        self._polled = BlockReader(self._device, plan(self.definition, self.definition.points.poll))
        self._writer = Writer(self._device, self.definition, self._control)
        checks = ((name, definition.options[name].check) for name in options.names)
        wanted = Wanted(
            options.failsafe, options.watchdog_s, tuple((name, check) for name, check in checks if check is not None)
        )
        self._upkeep = Upkeep(self._device, self.definition, self._control, wanted=wanted, clock=clock)
        self._beat_at = 0.0
        self._watchdog_s = self._watchdog(options)
        self._expired = False
        self._recovered_at = 0.0

    @property
    def doubt(self) -> str | None:
        """What of the controller's set-up is not as wanted, in words; None where all is."""
        return self._upkeep.doubt

    async def read(self) -> EvseReading:
        """Poll once; see the port."""
        self._notice_silence()
        with _evse_fault():
            await self._ready(urgent=False)
            image: Image = await self._polled.read()
            at = self._clock.now()
            if self._expired and self._control.watchdog:
                self._recovered_at = at.mono + self._control.watchdog.recovery_s
            self._expired = False
            reading = self._reading(image, at)
            if reading.faults:
                image = {**image, **await self._reason()}
                reading = self._reading(image, at)
            elif reading.pilot is None:
                self._polled.forget()  # what it refused may have been a passing trouble
            return reading

    async def set_limit(self, limit: MilliAmp) -> None:
        """Offer at most this current; see the port. Below the least that it can offer nothing is offered."""
        amperes = Decimal(limit) / 1000
        self._notice_silence()
        with _evse_fault():
            if self._upkeep.stranger is not None:
                raise EvseFault(self._upkeep.stranger)
            if amperes >= self._control.minimum_a:
                await self._ready(urgent=True)
            offered = min(amperes, self._upkeep.most_a)
            if amperes < self._control.minimum_a or offered < self._upkeep.least_a:
                await self._writer.write(self._control.pause)
                return
            point = self.definition.points.every[self._control.limit]
            await self._writer.put(self._control.limit, point.unscaled(offered))
            await self._writer.write(self._control.resume)

    async def _ready(self, *, urgent: bool) -> None:
        """Do what the controller wants beside being asked: a sign of life, and the settings that it lost."""
        now, beat = self._clock.now().mono, self._control.heartbeat
        if beat is not None and now >= self._beat_at:
            await self._writer.write(beat.writes)
            self._beat_at = now + beat.interval_s
        if await self._upkeep.attend(urgent=urgent):
            self._polled.forget()  # another device, or firmware, may be there that refuses other registers

    def _notice_silence(self) -> None:
        """Note, before anything is asked, that the controller has not been heard for its watchdog's time."""
        now, last = self._clock.now().mono, self._device.answered_at
        self._expired = self._expired or last is None or now - last >= self._watchdog_s

    def _watchdog(self, options: EvseOptions) -> float:
        """Return how long (s) the controller waits for us; for ever where it has no watchdog."""
        watchdog = self._control.watchdog
        return float("inf") if watchdog is None else options.watchdog_s or watchdog.default_s

    async def _reason(self) -> Image:
        """Read what older firmware tells only one by one; that it does not is no failure."""
        try:
            return await self._polled.read_left_out()
        except DeviceError:
            return {}

    def _reading(self, image: Image, at: Instant) -> EvseReading:
        known = understand(self._control.rules, self.definition.points.poll, image)
        return EvseReading(
            at,
            known.pilot,
            known.connected,
            known.charging,
            known.offering,
            MilliAmp(0) if known.paused else self._limit(image),
            tuple(dict.fromkeys(self._fault(name, at) for name in known.faults)),
        )

    def _limit(self, image: Image) -> MilliAmp | None:
        """Return the commanded current as the controller tells it, None where that is not known."""
        name = self._control.readback or self._control.limit
        if name not in self.definition.points.poll:
            return None
        amperes = self.definition.value(name, image)
        return MilliAmp(int(amperes * 1000)) if isinstance(amperes, Decimal) else None

    def _fault(self, name: str, at: Instant) -> str:
        """Return a fault's name, or that it is the watchdog's doing."""
        watchdog = self._control.watchdog
        ours = watchdog is not None and name == watchdog.fault and at.mono < self._recovered_at
        return EXPIRED if ours else name


def controlling(definition: Definition) -> Control:
    """Return how a controller is told and understood. Raises: ConfigError for the definition of a meter."""
    if definition.control is None:
        raise ConfigError(f"{definition.id}: the definition has no [control]: it is no controller")
    return definition.control


def fitted(definition: Definition, options: EvseOptions) -> Definition:
    """Return the definition for a device that is set up so. Raises: ConfigError for an option that it does not have."""
    definition = definition.for_connector(options.connector)
    for name in options.names:
        if name not in definition.options:
            raise ConfigError(f"{name}: {definition.id} has no such option")
        definition = definition.changed(definition.options[name])
    if options.variant is None:
        return definition
    if options.variant not in definition.variants:
        known = ", ".join(sorted(definition.variants)) or "none"
        raise ConfigError(f"variant: {options.variant!r} is not known: {definition.id} has {known}")
    return definition.changed(definition.variants[options.variant])


@contextmanager
def _evse_fault() -> Iterator[None]:
    try:
        yield
    except EvseFault:
        raise
    except DeviceError as error:
        raise EvseFault(str(error)) from error

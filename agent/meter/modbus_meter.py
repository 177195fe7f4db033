"""A kWh meter on a Modbus line, read as its definition says.

Source: the rules for MID meters (billed register, identity, plausibility); each definition names that of its registers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from agent.core.errors import MeterCorrupt, MeterTimeout
from agent.core.instant import Instant
from agent.core.model import Reading, Value, Wh
from agent.fieldbus.blocks import BlockReader, plan
from agent.fieldbus.bus import Wire, Wires
from agent.fieldbus.chain import locate
from agent.fieldbus.definition import BILLED, Definition, available, find
from agent.fieldbus.line import LineSettings, NoAnswer, PortLost, Refused, WrongAnswer
from agent.fieldbus.points import Image
from agent.meter.plausibility import Oddity
from agent.ports import Clock

DEFINITIONS: Final = Path(__file__).with_name("definitions")
FREQUENCY_HZ: Final = (Decimal(45), Decimal(65))
"""A mains frequency outside tells that the registers are not what they are taken for."""
CONFIRMED_RISE: Final = Wh(Decimal(50))
"""Two readings right after each other differ by no more, beyond the step: 55 kW for three seconds."""
IDENTITY_S: Final = 600.0
"""So often the serial number is read again, besides after every disturbance."""
SHY: Final = 3
"""A meter that answers polls, but so many times in a row not for its identity, is taken to have none."""


@dataclass(frozen=True, slots=True)
class MeterSettings:
    """Which meter is where; model: an id of ``available_models()`` or the path of a definition file.

    address: Modbus device id, None for the definition's.
    """

    model: str
    line: LineSettings
    address: int | None = None


def available_models() -> tuple[str, ...]:
    """Return the ids of the meters that are known, sorted."""
    return available(DEFINITIONS)


def open_meter(settings: MeterSettings, wires: Wires, clock: Clock) -> ModbusMeter:
    """Return the meter; its port is opened with the first reading. Raises: ConfigError."""
    definition = find(DEFINITIONS, settings.model)
    wire = wires.get(settings.line.completed(definition.bus))
    return ModbusMeter(wire, definition, address=settings.address or definition.bus.address, clock=clock)


class ModbusMeter:
    """Implements the port EnergyMeter."""

    def __init__(self, wire: Wire, definition: Definition, *, address: int, clock: Clock) -> None:
        """Read the meter at ``address`` on ``wire``; reads nothing yet."""
        self._as_filed = definition
        self.identity: Mapping[str, Decimal | str] = {}
        self._clock = clock
        self._device = wire.device("meter", address, definition.bus)
        self._place(definition)
        self._is_placed = definition.chain is None
        self._confirmed = 0
        self._named_at: float | None = None
        self._named_misses = 0
        self._refused_all = False
        self._shy = 0
        self._oddity = Oddity()

    @property
    def model(self) -> str:
        """The definition's id."""
        return self.definition.id

    @property
    def serial(self) -> str | None:
        """The serial number as last read, None where the meter tells none."""
        number = self.identity.get("serial_number", "")
        text = number if isinstance(number, str) else f"{number:f}"
        return text if text.strip("0") else None

    @property
    def doubt(self) -> str | None:
        """Why this may be another model than configured, in words; None where nothing speaks for it."""
        for name, point in self.definition.points.identity.items():
            seen = self.identity.get(name)
            if seen is not None and not point.accepts(seen):
                expected = ", ".join(str(word) for word in point.accept)
                return f"{self._device.place}: {name} is {seen}, not one of {expected}; check the model ({self.model})"
        odd = self._oddity.lasting
        return None if odd is None else f"{self._device.place}: {odd}; check the model ({self.model}) and the wiring"

    async def read(self) -> Reading:
        """Poll once; see the port. After a disturbance the register is read twice, and the identity again."""
        with _meter_errors():
            return await self._read()

    async def inspect(self) -> dict[str, Decimal | str]:
        """Return every point of the definition that the meter tells, in SI units.

        Raises: MeterTimeout, MeterCorrupt.
        """
        image = await self.image()
        return self.definition.values(image)

    async def image(self) -> Image:
        """Return the words of every point, as the meter sends them. Raises: MeterTimeout, MeterCorrupt."""
        with _meter_errors():
            await self._find()
            names = (*self.definition.every, *self.definition.combined)
            return await BlockReader(self._device, plan(self.definition, names)).read()

    async def _find(self) -> None:
        """Walk the chain of a meter that has one, unless that was done."""
        chain = self.definition.chain
        if chain is not None and not self._is_placed:
            places = await locate(self._device, chain, self._as_filed.sizes)
            self._place(self._as_filed.placed(places))
            self._is_placed = True

    def _place(self, definition: Definition) -> None:
        """Read the points where this definition has them from now on."""
        self.definition = definition
        self._polled = BlockReader(self._device, plan(definition, (*definition.points.poll, *definition.combined)))
        self._named = BlockReader(self._device, plan(definition, definition.points.identity))

    def _forget(self) -> None:
        """Begin anew: another meter may answer, or what this one refused meanwhile may be there."""
        self._polled.forget()
        self._is_placed = self.definition.chain is None

    async def _read(self) -> Reading:
        disturbed = self._device.misses != self._confirmed
        if disturbed:
            self._forget()
        await self._find()
        image: Image = await self._polled.read()
        at = self._clock.now()
        if disturbed or self._device.misses != self._confirmed:
            image, at = await self._confirm(image), self._clock.now()
        await self._name()
        return self._reading(image, at)

    async def _confirm(self, first: Image) -> Image:
        """Read again, since a late answer may have passed for the first one; return the second."""
        misses = self._device.misses
        second = await self._polled.read()
        before, after = (self.definition.value(BILLED, image) for image in (first, second))
        if isinstance(before, Decimal) and isinstance(after, Decimal):
            allowed = CONFIRMED_RISE + self.definition.step(BILLED, second)
            if not 0 <= after - before <= allowed:
                raise MeterCorrupt(
                    f"{self._device.place}: two readings after a disturbance do not agree ({before:f} Wh, then "
                    f"{after:f} Wh); check the wiring, its termination, and that no two devices have one address"
                )
        self._confirmed = misses
        return second

    async def _name(self) -> None:
        """Read the identity where it is due: another meter may have taken the place of one that was silent."""
        now, misses = self._clock.now().mono, self._device.misses
        fresh = self._named_at is not None and now - self._named_at < IDENTITY_S
        if fresh and misses == self._named_misses:
            return
        if misses != self._named_misses:
            self._named.forget()
        try:
            identity = self.definition.values(await self._named.read())
            self._shy = 0
        except (NoAnswer, WrongAnswer, Refused):
            self._shy += 1
            if self.serial is not None or self._shy < SHY:
                raise
            identity = {}
        self.identity, self._named_at, self._named_misses = identity, now, self._device.misses

    def _reading(self, image: Image, at: Instant) -> Reading:
        values = {name: value for name, value in self.definition.values(image).items() if isinstance(value, Decimal)}
        energy, frequency = values.pop(BILLED, None), values.get("frequency")
        if energy is None or self._refused_all:
            self._forget()  # also when it answers again
            self._refused_all = energy is None
        if energy is None:
            raise MeterCorrupt(f"{self._device.place}: told no energy value; check the model ({self.model})")
        if energy < 0 or (frequency is not None and not FREQUENCY_HZ[0] <= frequency <= FREQUENCY_HZ[1]):
            seen = f"{energy:.3f} Wh" if energy < 0 else f"{frequency:.2f} Hz"
            raise MeterCorrupt(f"{self._device.place}: told {seen}, which cannot be; check the model ({self.model})")
        self._oddity.heed(values)
        step = Wh(self.definition.step(BILLED, image))
        told = tuple(Value(name, number) for name, number in values.items())
        return Reading(at, Wh(energy), told, self.serial, step)


@contextmanager
def _meter_errors() -> Iterator[None]:
    try:
        yield
    except (NoAnswer, PortLost) as error:
        raise MeterTimeout(str(error)) from error
    except (WrongAnswer, Refused) as error:
        raise MeterCorrupt(str(error)) from error

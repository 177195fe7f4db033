"""Sees to a controller whenever it appears, and now and then: is it the model that it should be, is it set up so.

What it forgets when its power is cut, or when it sleeps, is written again. A setting that it does not keep, or refuses,
is not written for ever: that is told in ``doubt``, and the controller is used all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import structlog

from agent.core.errors import EvseFault
from agent.core.model import MilliAmp
from agent.evse.writer import Writer
from agent.fieldbus.blocks import BlockReader, plan
from agent.fieldbus.bus import Device
from agent.fieldbus.control import Control, SetBit
from agent.fieldbus.definition import Definition
from agent.fieldbus.line import Refused
from agent.fieldbus.points import Image
from agent.ports import Clock

log = structlog.get_logger(__name__)

AGAIN_S: Final = 600.0
"""So often it is looked after, besides after every disturbance: another program may have changed something."""
TRIES: Final = 3
"""So often a setting is written that does not stay: per appearance, and in all where the memory wears."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How the controller shall be set up.

    failsafe: the current that it offers by itself, None leaves that as it is. watchdog_s: how long it waits for us,
    None for the definition's. checks: options with the bit that tells that they are set.
    """

    failsafe: MilliAmp | None = None
    watchdog_s: float | None = None
    checks: tuple[tuple[str, SetBit], ...] = ()


class Upkeep:
    """Looks after one controller.

    least_a, most_a: what it can offer, as it tells itself or else as its definition says.
    """

    def __init__(
        self, device: Device, definition: Definition, control: Control, *, wanted: Wanted, clock: Clock
    ) -> None:
        """Look after ``device``; sends nothing yet. control: the definition's."""
        self.least_a = Decimal(control.minimum_a)
        self.most_a = Decimal(control.maximum_a)
        self.stranger: str | None = None
        self._device = device
        self._definition = definition
        self._control = control
        self._wanted = wanted
        self._clock = clock
        self._writer = Writer(device, definition, control)
        self._blocks = plan(definition, self._names())
        self._tries: dict[str, int] = {}
        self._doubts: dict[str, str] = {}
        self._attended: int | None = None
        self._seen: int | None = None
        self._again_at = 0.0

    @property
    def doubt(self) -> str | None:
        """What of the set-up is not as wanted, in words; None where all is."""
        return next(iter(self._doubts.values()), None)

    async def attend(self, *, urgent: bool) -> bool:
        """Look after the controller where that is due, and tell whether it was; urgent: what can wait does.

        Raises: EvseFault where it is another model or is not set up as an option says; the device's errors.
        """
        misses, now = self._device.misses, self._clock.now().mono
        if self._attended == misses and (urgent or now < self._again_at):
            return False
        if self._seen != misses:
            self._appeared(misses)
        image = await BlockReader(self._device, self._blocks).read(urgent=urgent)
        self._identify(image)
        for option, bit in self._wanted.checks:
            self._check(option, bit, image)
        self._take_limits(image)
        if await self._keep(image):
            self._attended, self._again_at = misses, now + AGAIN_S
        return True

    def _names(self) -> tuple[str, ...]:
        checks = [bit.point for _, bit in self._wanted.checks]
        control = self._control
        settings = [write.point for write in control.keep]
        settings += [control.failsafe] if control.failsafe and self._wanted.failsafe is not None else []
        settings += [control.watchdog.point] if control.watchdog else []
        return tuple(dict.fromkeys((*self._definition.points.identity, *checks, *settings)))

    def _appeared(self, misses: int) -> None:
        """Begin anew, since another device may be there; but for memory that wears it is still the same."""
        self._seen = misses
        worn = {name for name in self._tries if self._definition.every[name].wears}
        self._tries = {name: tries for name, tries in self._tries.items() if name in worn}
        self._doubts = {name: doubt for name, doubt in self._doubts.items() if name in worn}

    def _identify(self, image: Image) -> None:
        self.stranger = None
        for name, point in self._definition.points.identity.items():
            seen = point.raw(image)
            if seen is not None and not point.accepts(seen):
                expected = ", ".join(str(word) for word in point.accept)
                self.stranger = (
                    f"{self._device.place}: {name} is {seen}, not {expected}: this is no {self._definition.model}; "
                    "check controller and address"
                )
                raise EvseFault(self.stranger)

    def _check(self, option: str, check: SetBit, image: Image) -> None:
        """Refuse an option that the controller says is not set; older firmware may not tell."""
        point = self._definition.every[check.point]
        word = point.raw(image)
        if isinstance(word, Decimal) and not int(word) >> check.bit & 1:
            raise EvseFault(
                f"{self._device.place}: the option {option} is set, but not in the controller (register "
                f"{point.address}, bit {check.bit}): limits would mean other currents; clear the option or set the bit"
            )

    def _take_limits(self, image: Image) -> None:
        """Believe what the controller tells of its hardware where that narrows what its definition says."""
        control = self._control
        least, most = self._told(control.minimum, image), self._told(control.maximum, image)
        self.least_a = max(Decimal(control.minimum_a), least or Decimal(0))
        self.most_a = min(Decimal(control.maximum_a), most or Decimal(control.maximum_a))

    def _told(self, name: str | None, image: Image) -> Decimal | None:
        """Return a current that the hardware can do; None where it tells none that may be."""
        value = None if name is None else self._definition.every[name].value(image)
        if isinstance(value, Decimal) and self._control.minimum_a <= value <= self._control.maximum_a:
            return value
        return None

    async def _keep(self, image: Image) -> bool:
        """Write the settings that differ; tell whether there was nothing to write that has to be looked at again."""
        settled = [await self._set(name, raw, image) for name, raw in self._settings()]
        return all(settled)

    def _settings(self) -> Iterator[tuple[str, Decimal]]:
        """Yield what the settings shall be, before scaling, in the order in which they are written."""
        control, points = self._control, self._definition.every
        for write in control.keep:
            yield write.point, Decimal(write.value)
        if control.failsafe is not None and self._wanted.failsafe is not None:
            amperes = min(Decimal(self._wanted.failsafe) / 1000, self.most_a)
            yield (
                control.failsafe,
                points[control.failsafe].unscaled(amperes if amperes >= self.least_a else Decimal(0)),
            )
        if control.watchdog is not None:
            seconds = self._wanted.watchdog_s or control.watchdog.default_s
            yield control.watchdog.point, points[control.watchdog.point].unscaled(Decimal(seconds))

    async def _set(self, name: str, raw: Decimal, image: Image) -> bool:
        point = self._definition.every[name]
        seen = point.raw(image)
        if seen is None or seen == raw:
            self._doubts.pop(name, None)
            if not point.wears:
                self._tries.pop(name, None)
            return True
        if self._tries.get(name, 0) >= TRIES:
            self._doubted(name, f"{name} (register {point.address}) is {seen} and does not take {raw:f}")
            return True
        self._tries[name] = self._tries.get(name, 0) + 1
        try:
            await self._writer.put(name, raw)
        except Refused as refused:
            self._tries[name] = TRIES
            words = f"{name} (register {point.address}) is {seen}, and {raw:f} is refused (exception {refused.code})"
            self._doubted(name, words)
        return False

    def _doubted(self, name: str, words: str) -> None:
        if self._doubts.get(name) is None:
            log.warning("the controller does not take a setting", device=self._device.place, cause=words)
        self._doubts.setdefault(name, f"{self._device.place}: {words}; check the controller's own settings")

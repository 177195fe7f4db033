"""How a controller is told and understood: the ``[control]`` of a definition file, its options and variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from agent.core.model import Pilot
from agent.fieldbus.points import Address, Function, Name, Section, Word

Bit = Annotated[int, Field(ge=0, le=63)]
Seconds = Annotated[int, Field(ge=1, le=3600)]


@dataclass(frozen=True, slots=True)
class Rule(Section):
    """What is known of the vehicle when every named point has one of its raw values, and every named bit is set.

    paused: nothing is offered although the limit register says otherwise. A later rule wins over an earlier one;
    faults add up, and ``unknown`` is left out beside another.
    """

    when: Mapping[Name, tuple[Word, ...]]
    bits: Mapping[Name, Bit] = field(default_factory=dict)
    pilot: Pilot | None = None
    connected: bool | None = None
    charging: bool | None = None
    offering: bool | None = None
    paused: bool | None = None
    fault: Name | None = None


@dataclass(frozen=True, slots=True)
class Write(Section):
    """A raw value for a point; of a coil 0 or 1."""

    point: Name
    value: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Watchdog(Section):
    """After so long without a request the controller offers its fail-safe current by itself.

    point: takes the time. default_s: where the installer chose none; least_s, most_s: what may be chosen. fault: what
    an expired watchdog looks like, for recovery_s after requests have come again: then it is no fault of the device.
    """

    point: Name
    default_s: Seconds
    least_s: Seconds
    most_s: Seconds
    fault: Name | None = None
    recovery_s: Seconds = 1


@dataclass(frozen=True, slots=True)
class Heartbeat(Section):
    """Writes that a controller wants to hear at least so often, beside what it is asked."""

    writes: tuple[Write, ...]
    interval_s: Seconds


@dataclass(frozen=True, slots=True)
class Control(Section):
    """How a controller is told and understood.

    limit: the point that takes the current; readback: the one that tells it, ``limit`` itself where that is polled.
    function: the code that writes registers. pause: writes that withdraw the offer; resume: writes that follow a new
    limit. keep: values that settings must have; they are written where they differ. failsafe: the point with the
    current that the controller offers by itself. minimum_a, maximum_a: what the hardware can offer; minimum, maximum:
    the points where it tells so itself.
    """

    limit: Name
    function: Literal[6, 16]
    pause: tuple[Write, ...]
    rules: tuple[Rule, ...]
    readback: Name | None = None
    resume: tuple[Write, ...] = ()
    keep: tuple[Write, ...] = ()
    failsafe: Name | None = None
    watchdog: Watchdog | None = None
    heartbeat: Heartbeat | None = None
    minimum: Name | None = None
    maximum: Name | None = None
    minimum_a: Annotated[int, Field(ge=1, le=80)] = 6
    maximum_a: Annotated[int, Field(ge=6, le=500)] = 80


@dataclass(frozen=True, slots=True)
class SetBit(Section):
    """A bit that has to be set in a point."""

    point: Name
    bit: Bit


@dataclass(frozen=True, slots=True)
class Change(Section):
    """How a device differs that is set up in another way, or is another variant.

    scale: other scales of points. read: other function codes that read them. function, pause, resume: instead of those
    of ``[control]``. check: how the device tells that it is so.
    """

    scale: Mapping[Name, Decimal] = field(default_factory=dict)
    read: Mapping[Name, Function] = field(default_factory=dict)
    function: Literal[6, 16] | None = None
    pause: tuple[Write, ...] | None = None
    resume: tuple[Write, ...] | None = None
    check: SetBit | None = None


@dataclass(frozen=True, slots=True)
class Connectors(Section):
    """A device with several connectors: each further one has its registers ``step`` higher, from ``first`` on."""

    step: Annotated[int, Field(ge=1, le=65535)]
    most: Annotated[int, Field(ge=2, le=99)]
    first: Address = 0

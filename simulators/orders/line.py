"""Line commands for what goes wrong on a Modbus wire, on a serial line and on TCP."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from simulators.bus import Bus
from simulators.console import Commands, padded, seconds
from simulators.errors import Misuse
from simulators.modbus import Faults

USAGE: Final = "KIND [VALUE] [xTIMES]"
SHOWN_REQUESTS: Final = 10


def _byte(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 0xFF:  # noqa: PLR2004 - a byte
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 0xFFFF:  # noqa: PLR2004 - no frame is longer
        raise ValueError(text)
    return value


def _percent(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100 or math.isnan(value):  # noqa: PLR2004 - per cent
        raise ValueError(text)
    return value


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault of a line: the field of Faults that it sets.

    purpose: one line for ``help``. value: how it is typed; empty: there is none. read: what makes a value of the text.
    usual: taken where no value is typed; None: one must be. wires: where it can happen.
    """

    field: str
    purpose: str
    value: str = ""
    read: Callable[[str], object] = str
    usual: object = None
    wires: frozenset[str] = frozenset({"pty", "tcp", "rtu-over-tcp"})


TCP: Final = frozenset({"tcp"})
FAULTS: Final[Mapping[str, Kind]] = {
    "silence": Kind("silent", "requests are neither executed nor answered"),
    "flaky": Kind("flaky", "so many answers in a hundred are lost", "PERCENT", _percent),
    "gap": Kind("gap_s", "requests sooner than so long after the one before are not heard", "SECONDS", seconds),
    "delay": Kind("delay_s", "answers come so much later", "SECONDS", seconds),
    "late": Kind("late", "each answer is kept back and comes instead of that to the next request"),
    "stray": Kind("stray", "each answer comes twice"),
    "exception": Kind("exception", "everything is refused with this code", "CODE", _byte),
    "wrong-unit": Kind("unit", "answers carry another address", "UNIT", _byte),
    "wrong-function": Kind("function", "answers carry another function code", "CODE", _byte),
    "fewer": Kind("fewer", "so many registers are missing at the end of what was read", "N", _count),
    "crc": Kind("bad_crc", "answers have a wrong CRC; on Modbus TCP a wrong protocol id"),
    "truncate": Kind("keep", "only so many bytes of each answer arrive", "BYTES", _count),
    "garbage": Kind("garbage", "so many random bytes (7) come instead of each answer", "[BYTES]", _count, 7),
    "before": Kind("before", "these bytes come before each answer", "HEX", bytes.fromhex),
    "after": Kind("after", "these bytes come behind each answer", "HEX", bytes.fromhex),
    "echo": Kind("echo", "the request comes back before its answer, as from some adapters"),
    "slow": Kind("slow_s", "so long between the bytes of an answer", "SECONDS", seconds),
    "wrong-transaction": Kind("transaction", "Modbus TCP: transaction so much too high (1)", "[BY]", _count, 1, TCP),
    "wrong-length": Kind("length", "Modbus TCP: length so much too high (1)", "[BY]", _count, 1, TCP),
    "reset": Kind(
        "reset", "TCP: requests are answered by cutting the connection", wires=frozenset({"tcp", "rtu-over-tcp"})
    ),
}


def add_line_commands(commands: Commands, bus: Bus, faults: Mapping[str, Faults]) -> None:
    """Add what can go wrong on the wire; ``fault`` means the first of the devices where none is named."""
    names = "|".join(faults)
    commands.topic = "the wire"
    purpose = "answer wrongly, until it is cleared or so many TIMES: fault crc x3"
    commands.add("fault", f"[{names}] {USAGE}", purpose, functools.partial(_fault, bus, faults))
    kinds = [(f"{name} {kind.value}".rstrip(), kind.purpose) for name, kind in FAULTS.items()]
    commands.explain("fault", [*kinds, ("clear", "all faults of this device end")])
    commands.add("faults", "", "the faults that are set", lambda _: _set(faults))
    commands.add("unplug-bus", "[SECONDS]", "pull the adapter's cable; put it back after so long", _unplugging(bus))
    commands.add("replug-bus", "", "put it back", lambda _: bus.replug())
    commands.add("trace", "[N]", "the last N requests (10) with their answers", functools.partial(_trace, bus))
    commands.add("inject", "HEX", "send bytes nobody asked for", functools.partial(_inject, bus))


def _fault(bus: Bus, faults: Mapping[str, Faults], words: list[str]) -> str:
    """Set a fault; a wrong value changes nothing."""
    name = words.pop(0) if words[0] in faults else next(iter(faults))
    times = _times(words.pop()) if words[-1].startswith("x") else None
    if words == ["clear"]:
        faults[name].clear()
        return f"{name}: no faults"
    kind = FAULTS.get(words[0])
    if kind is None:
        raise Misuse(f"unknown fault {words[0]!r}, known are: {', '.join(FAULTS)}, clear")
    if bus.wire not in kind.wires:
        raise Misuse(f"{words[0]} needs {'Modbus TCP' if kind.wires == TCP else 'TCP'}, this wire is {bus.wire}")
    setattr(faults[name], kind.field, _value(kind, words[1:]))
    faults[name].times = times
    return f"{name}: {' '.join(words)}" + (f", {times} times" if times else "")


def _times(word: str) -> int:
    times = int(word[1:])
    if times < 1:
        raise ValueError(word)
    return times


def _value(kind: Kind, words: list[str]) -> object:
    if not kind.value:
        if words:
            raise ValueError(words)
        return True
    if not words and kind.usual is not None:
        return kind.usual
    (word,) = words
    return kind.read(word)


def _set(faults: Mapping[str, Faults]) -> str:
    healthy = Faults()
    return "\n".join(
        f"  {device}: {name} {getattr(of, kind.field)}"
        for device, of in faults.items()
        for name, kind in FAULTS.items()
        if getattr(of, kind.field) != getattr(healthy, kind.field)
    )


def _unplugging(bus: Bus) -> Callable[[list[str]], Awaitable[None]]:
    async def unplug(words: list[str]) -> None:
        (time,) = padded(words, 0, 1)
        away_s = seconds(time) if time else None
        await bus.unplug()
        if away_s is not None:
            await asyncio.sleep(away_s)
            await bus.replug()

    return unplug


def _trace(bus: Bus, words: list[str]) -> str:
    (count,) = padded(words, 0, 1)
    shown = int(count or SHOWN_REQUESTS)
    last = list(bus.trace)[-shown:] if shown > 0 else []
    return "\n".join(
        f"  unit {exchange.request.unit}: {exchange.request.pdu.hex(' ')} -> "
        + (" / ".join(answer.hex(" ") for answer in exchange.answers) or "nothing")
        for exchange in last
    )


def _inject(bus: Bus, words: list[str]) -> None:
    data = bytes.fromhex("".join(words))
    if not data:
        raise ValueError(words)
    bus.inject(data)

"""Lines that devices hang on, and what can go wrong with a device on one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from agent.core.errors import ConfigError, DeviceError
from agent.fieldbus.points import Bus


class PortLost(DeviceError):
    """The port, or the connection, is not there, cannot be opened or broke: the adapter, not the device."""


class NoAnswer(DeviceError):
    """Silence: line, baud rate, parity, address or power."""


class WrongAnswer(DeviceError):
    """Bytes came, but not the answer to the request."""


class Refused(DeviceError):
    """The device answered with a Modbus exception; code: as in the Modbus application protocol 1.1b3, section 7."""

    FUNCTION: Final = 1
    ADDRESS: Final = 2
    VALUE: Final = 3

    def __init__(self, text: str, code: int) -> None:
        """Keep the code beside the text."""
        super().__init__(text)
        self.code = code

    @property
    def by_address(self) -> bool:
        """Whether the device lacks these registers or does not give so many, so that asking again is of no use."""
        return self.code in {self.FUNCTION, self.ADDRESS, self.VALUE}


class Transport(StrEnum):
    """What carries the bytes; ``serial`` is a tty that speaks no Modbus."""

    RTU = "rtu"
    TCP = "tcp"
    RTU_OVER_TCP = "rtu-over-tcp"
    SERIAL = "serial"


TTYS: Final = frozenset({Transport.RTU, Transport.SERIAL})


@dataclass(frozen=True, slots=True)
class LineSettings:
    """How a line is opened; what is None comes from the definition of the device on it.

    device: path of a tty (``rtu``, ``serial``). host, port: the others.
    """

    transport: Transport = Transport.RTU
    device: str | None = None
    baudrate: int | None = None
    parity: str | None = None
    stopbits: int | None = None
    host: str | None = None
    port: int | None = None

    def completed(self, bus: Bus) -> LineSettings:
        """Return the settings with the definition's in the gaps. Raises: ConfigError without a device or host."""
        if self.transport in TTYS and not self.device:
            raise ConfigError(f"device: is missing: {self.transport} needs the path of a serial port")
        if self.transport not in TTYS and not self.host:
            raise ConfigError(f"host: is missing: {self.transport} needs a host name or address")
        return replace(
            self,
            baudrate=self.baudrate or bus.baudrate,
            parity=self.parity or bus.parity,
            stopbits=self.stopbits or bus.stop_bits,
            port=self.port or bus.tcp_port,
        )

    @property
    def name(self) -> str:
        """The line as the installer knows it."""
        return f"{self.device}" if self.transport in TTYS else f"{self.host}:{self.port}"

    @property
    def key(self) -> str:
        """The same for two names of one port."""
        return str(Path(self.device or "").resolve()) if self.transport in TTYS else self.name

    @property
    def form(self) -> str:
        """Baud rate, data bits, parity and stop bits, as ``9600 8N1``."""
        return f"{self.baudrate} 8{self.parity}{self.stopbits}"

    def seconds(self, count: int) -> float:
        """Return how long so many bytes take on the wire; 0 where that is not known."""
        if self.transport not in TTYS or not self.baudrate:
            return 0.0
        bits = 9 + (self.parity != "N") + (self.stopbits or 1)
        return count * bits / self.baudrate


def conflict(first: LineSettings, second: LineSettings) -> str | None:
    """Return why two devices cannot be on these lines at once, None where they can; both completed."""
    if first.key != second.key:
        return None
    if Transport.SERIAL in {first.transport, second.transport}:
        return f"{first.name}: a card reader shares its port with nothing else"
    if first.transport != second.transport:
        return f"{first.name}: used as {first.transport} and as {second.transport}"
    if first.transport is Transport.RTU and first.form != second.form:
        return f"{first.name}: used with {first.form} and with {second.form}; devices on one bus need the same settings"
    return None

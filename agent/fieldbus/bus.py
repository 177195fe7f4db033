"""One owner per wire: one request at a time, commands first, silence where the wire needs it, reopened when it is lost.

Source: Modbus over serial line 1.02, sections 2.4.1 and 2.5.1.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from pymodbus.pdu import ModbusPDU

from agent.core.errors import ConfigError, DeviceError
from agent.fieldbus.line import LineSettings, NoAnswer, PortLost, Refused, Transport, WrongAnswer, conflict
from agent.fieldbus.link import Ask, Client, Link
from agent.fieldbus.points import BITS, Bus
from agent.ports import Clock

REOPEN_S: Final = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Delays before a lost port is opened again; the last one for ever. Trying costs next to nothing."""
QUIET_S: Final = 0.5
"""After a request without its answer nothing must be heard for so long before the next one: the answer may be late."""
BABBLE_S: Final = 3.0
"""A wire that is never quiet is used nevertheless after so long."""
LEAST_SILENCE_S: Final = 0.00175
SILENT_CHARACTERS: Final = 4
"""3.5 between two frames, in whole characters."""
FRAME_BYTES: Final = 8
"""Bytes of a read request, and of the answer to a write."""
DEAF: Final = 3
"""So many requests in a row without an answer make a TCP connection suspect: it is opened anew."""

#: Meanings of exception codes (Modbus application protocol 1.1b3, section 7), and what to do.
EXCEPTIONS: Final = {
    1: "illegal function; check the model",
    2: "illegal register; check the model",
    3: "illegal number of registers, or illegal value; check the model",
    4: "device failure",
    5: "not done yet",
    6: "busy",
    10: "the gateway has no path to this address; check the address",
    11: "the device behind the gateway does not answer; check its power, wires, address and line settings",
}
BEHIND_GATEWAY: Final = frozenset({10, 11})
#: What to check, by transport and failure.
REMEDIES: Final[Mapping[tuple[Transport, type[DeviceError]], str]] = {
    (Transport.RTU, NoAnswer): "power, A/B wires, address and baud rate ({form})",
    (Transport.RTU, WrongAnswer): "baud rate and parity ({form}), termination, no two devices with one address",
    (Transport.RTU, PortLost): "the port went away in use; check the adapter's plug and cable",
    (Transport.TCP, NoAnswer): "the address (Modbus device id), and that Modbus is switched on",
    (Transport.TCP, WrongAnswer): 'the transport: a bridge may need "rtu-over-tcp"',
    (Transport.TCP, PortLost): "the other side closed the connection; check whether it serves several clients",
    (Transport.RTU_OVER_TCP, NoAnswer): "power, A/B wires, address and the bridge's line settings",
    (Transport.RTU_OVER_TCP, WrongAnswer): "the bridge's line settings, no two devices with one address",
    (Transport.RTU_OVER_TCP, PortLost): "the bridge closed the connection; check whether it serves several clients",
}


class Turn:
    """Who may use a wire now: commands before polls, each in the order of arrival."""

    def __init__(self) -> None:
        """Begin with a free wire."""
        self._busy = False
        self._waiting: list[tuple[bool, int, asyncio.Future[None]]] = []
        self._arrivals = 0

    @asynccontextmanager
    async def taken(self, *, urgent: bool) -> AsyncIterator[None]:
        """Hold the wire. Cancellation while waiting gives the turn to the next."""
        await self._enter(urgent=urgent)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, *, urgent: bool) -> None:
        if not self._busy:
            self._busy = True
            return
        self._arrivals += 1
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (not urgent, self._arrivals, mine))
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        while self._waiting:
            *_, following = heapq.heappop(self._waiting)
            if not following.done():
                following.set_result(None)
                return
        self._busy = False


class Wire:
    """A line with all devices on it; opened with the first request, and again whenever it was lost."""

    def __init__(self, line: LineSettings, clock: Clock, *, quiet_s: float = QUIET_S) -> None:
        """Own ``line``, completed; opens nothing. quiet_s: silence after a request without its answer."""
        self.line = line
        self._clock = clock
        self._quiet_s = quiet_s
        self._turn = Turn()
        self._link: Link | None = None
        self._trouble = ""
        self._losses = 0
        self._reopen_at = 0.0
        self._quiet_until = 0.0
        self._free_at = 0.0
        self._unanswered = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Release the port at the end; a port that is not there is no error here, but of the requests."""
        try:
            yield
        finally:
            self.close()

    def close(self) -> None:
        """Release the port; a later request opens it again."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def device(self, label: str, address: int, bus: Bus) -> Device:
        """Return a device on this wire; label: what it is, for texts."""
        return Device(self, label, address, bus)

    async def exchange(self, device: Device, request: Ask, size: int, *, urgent: bool) -> ModbusPDU:
        """Send a request when it is its turn and the wire is quiet; return the answer, be it an exception response.

        size: bytes of the answer. Raises, without the device's name: PortLost, NoAnswer, WrongAnswer. Cancellation
        leaves the wire quiet and usable.
        """
        async with self._turn.taken(urgent=urgent):
            link = await self._opened(urgent=urgent)
            await self._silence(link, device)
            try:
                answer = await link.ask(request, device.timeout_s + self.line.seconds(FRAME_BYTES + size))
            except TimeoutError:
                raise self._missed(link, device, size) from None
            except PortLost:
                self._lost(self._remedy(PortLost))
                raise PortLost(self._trouble) from None
            except asyncio.CancelledError:
                self._expect_late(device.timeout_s, size)
                raise
            finally:
                now = self._clock.now().mono
                self._free_at = now + max(self.line.seconds(SILENT_CHARACTERS), LEAST_SILENCE_S)
                device.free_at = now + device.gap_s
            self._losses = self._unanswered = 0
            device.answered_at = self._clock.now().mono
            return answer

    async def _opened(self, *, urgent: bool) -> Link:
        """Return the open link; a poll does not try to open it before the delay is over."""
        if self._link is not None and self._link.open:
            return self._link
        now = self._clock.now().mono
        if now < self._reopen_at and not urgent:
            raise PortLost(self._trouble)
        self.close()
        link = Link(self.line)
        try:
            await link.connect()
        except PortLost as error:
            self._lost(str(error))
            raise
        self._link = link
        self._quiet_until = max(self._quiet_until, now + self.line.seconds(FRAME_BYTES))
        return link

    async def _silence(self, link: Link, device: Device) -> None:
        """Wait until the device may be asked, and no answer to an earlier request can come any more."""
        await self._clock.sleep_until(max(self._free_at, device.free_at))
        end = self._clock.now().mono + BABBLE_S
        while self._clock.now().mono < min(self._quiet_until, end):
            heard = link.heard
            await self._clock.sleep_until(min(self._quiet_until, end))
            if link.heard != heard:
                self._expect_late(0.0, FRAME_BYTES)

    def _missed(self, link: Link, device: Device, size: int) -> NoAnswer | WrongAnswer:
        """Prepare for a late answer, and say what happened instead of the right one."""
        self._expect_late(0.0, size)
        self._unanswered += 1
        if self.line.transport is not Transport.RTU and (link.wrong or self._unanswered >= DEAF):
            self.close()
            self._unanswered = 0
        if link.wrong is None:
            return NoAnswer(f"no answer within {device.timeout_s:g} s; check {self._remedy(NoAnswer)}")
        return WrongAnswer(f"got {link.wrong}; check {self._remedy(WrongAnswer)}")

    def _expect_late(self, more_s: float, size: int) -> None:
        """Keep quiet until a late answer has passed; Modbus TCP numbers its answers and needs no such thing."""
        if self.line.transport is not Transport.TCP:
            quiet = more_s + self._quiet_s + self.line.seconds(size)
            self._quiet_until = max(self._quiet_until, self._clock.now().mono + quiet)

    def _lost(self, trouble: str) -> None:
        delay = REOPEN_S[min(self._losses, len(REOPEN_S) - 1)]
        self._losses += 1
        self._trouble = trouble
        self._reopen_at = self._clock.now().mono + delay
        self.close()

    def _remedy(self, trouble: type[DeviceError]) -> str:
        return REMEDIES[self.line.transport, trouble].format(form=self.line.form)


class Device:
    """One device on a wire: reads and writes its registers, and retries where that may help.

    misses: how often it did not answer, so that who remembers something of it knows that another one may be there.
    answered_at: monotonic second of its last answer, None before the first.
    """

    def __init__(self, wire: Wire, label: str, address: int, bus: Bus) -> None:
        """Address a device; label: what it is, for texts."""
        self._wire = wire
        self._label = label
        self._address = address
        self._silent = f"; {bus.silent}" if bus.silent else ""
        self._healthy = False
        self.timeout_s = bus.timeout_ms / 1000
        self.gap_s = bus.min_gap_ms / 1000
        self.free_at = 0.0
        self.misses = 0
        self.answered_at: float | None = None

    @property
    def place(self) -> str:
        """Which device this is and where."""
        return f"{self._label} address {self._address} on {self._wire.line.name}"

    async def read(self, function: int, address: int, count: int, *, urgent: bool = False) -> tuple[int, ...]:
        """Return ``count`` words from an address on; of bits one word each, 0 or 1.

        function: 1 coils, 2 discrete inputs, 3 holding, 4 input registers. Raises: PortLost, NoAnswer, WrongAnswer,
        Refused, each with device, line and what to check.
        """

        async def ask(client: Client) -> None:
            reads = {
                1: client.read_coils,
                2: client.read_discrete_inputs,
                3: client.read_holding_registers,
                4: client.read_input_registers,
            }
            await reads[function](address, count=count, device_id=self._address, no_response_expected=True)

        what = f"registers {address} to {address + count - 1} (function {function})"
        if function in BITS:
            answer = await self._ask(ask, 5 + (count + 7) // 8, what, urgent=urgent)
            return tuple(int(bit) for bit in answer.bits[:count])
        answer = await self._ask(ask, 5 + 2 * count, what, urgent=urgent)
        return tuple(answer.registers)

    async def write(self, function: int, address: int, words: Sequence[int]) -> None:
        """Write words from an address on; overtakes reads. Returns when the device has acknowledged.

        function: 5 for one coil (0 or 1), 6 for one word, 16 for any number. Raises: as ``read``.
        """

        async def ask(client: Client) -> None:
            if function == 5:  # noqa: PLR2004
                await client.write_coil(address, bool(words[0]), device_id=self._address, no_response_expected=True)
            elif function == 6:  # noqa: PLR2004
                await client.write_register(address, words[0], device_id=self._address, no_response_expected=True)
            else:
                await client.write_registers(address, list(words), device_id=self._address, no_response_expected=True)

        await self._ask(ask, FRAME_BYTES, f"writing register {address} (function {function})", urgent=True)

    async def _ask(self, request: Ask, size: int, what: str, *, urgent: bool) -> ModbusPDU:
        """Ask once, or twice: a command always, a poll only where the device answered before."""
        again = urgent or self._healthy
        try:
            answer = await self._once(request, size, urgent=urgent)
        except (PortLost, NoAnswer, WrongAnswer):
            if not again:
                raise
            answer = await self._once(request, size, urgent=urgent)
        self._healthy = True
        if answer.isError():
            self._refuse(answer.exception_code, what)
        return answer

    async def _once(self, request: Ask, size: int, *, urgent: bool) -> ModbusPDU:
        settled = False
        try:
            answer = await self._wire.exchange(self, request, size, urgent=urgent)
            settled = True
        except (PortLost, NoAnswer, WrongAnswer) as error:
            hint = self._silent if isinstance(error, NoAnswer) else ""
            raise type(error)(f"{self.place}: {error}{hint}") from None
        finally:
            if not settled:
                self.misses += 1
                self._healthy = False
        return answer

    def _refuse(self, code: int, what: str) -> None:
        meaning = EXCEPTIONS.get(code, "unknown exception")
        if code in BEHIND_GATEWAY:
            self.misses += 1
            raise NoAnswer(f"{self.place}: {meaning}")
        raise Refused(f"{self.place}: refuses {what}: exception {code}, {meaning}", code)


class Wires:
    """All wires of the station: devices on one port share its wire."""

    def __init__(self, clock: Clock) -> None:
        """Make wires as devices ask for them."""
        self._clock = clock
        self._wires: list[Wire] = []

    def get(self, line: LineSettings) -> Wire:
        """Return the wire of a line, completed. Raises: ConfigError where it is in use with other settings."""
        for wire in self._wires:
            problem = conflict(wire.line, line)
            if problem is not None:
                raise ConfigError(problem)
            if wire.line.key == line.key:
                return wire
        self._wires.append(Wire(line, self._clock))
        return self._wires[-1]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Release all ports at the end."""
        try:
            yield
        finally:
            for wire in self._wires:
                wire.close()

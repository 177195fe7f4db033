"""One open connection to a line, over a pymodbus client: sends a request, returns the answer that belongs to it.

pymodbus frames the requests, decodes the answers and owns the transport. Retries, reconnecting and matching answers to
requests are done here and in ``bus``, because it takes the late answer to one request for the answer to the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import termios
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerType
from pymodbus.pdu import ModbusPDU

from agent.fieldbus import answers
from agent.fieldbus.line import LineSettings, PortLost, Transport
from agent.fieldbus.serial import REFUSES, parity_at, port_trouble

CONNECT_S: Final = 3.0
BUFFER: Final = 2048
"""pymodbus forgets what came, unseen, when it is more; nothing on a line delivers so much at once."""
NEVER: Final = 1_000_000_000
"""pymodbus closes a connection after so many unanswered requests; that is decided here."""

Client: TypeAlias = AsyncModbusSerialClient | AsyncModbusTcpClient
Ask: TypeAlias = Callable[[Client], Awaitable[object]]
"""Sends a request over a client, without waiting for the answer."""


def silence_pymodbus() -> None:
    """Keep pymodbus from logging: what it has to say is in the errors that are raised here."""
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)


class Link:
    """A connection; made to be used once, a new one replaces it when it is lost."""

    def __init__(self, line: LineSettings) -> None:
        """Make a client for ``line``, completed; needs a running loop."""
        silence_pymodbus()
        self._line = line
        self._expected: answers.Expected | None = None
        self._answer: asyncio.Future[ModbusPDU] | None = None
        self._data = b""
        self._client = self._make()
        self._client.set_max_no_responses(NEVER)
        self._client.ctx.max_buffer_size = BUFFER
        self.heard = 0

    @property
    def open(self) -> bool:
        """Whether the connection stands."""
        return self._client.connected

    @property
    def wrong(self) -> str | None:
        """What came instead of the answer to the last request, None for silence."""
        return answers.fault(self._expected, self._data) if self._expected and self._data else None

    @property
    def answer_bytes(self) -> int:
        """Bytes of the answer to the last request."""
        return self._expected.size if self._expected else 0

    async def connect(self) -> None:
        """Open the connection. Raises: PortLost with the cause, without the device's name."""
        try:
            async with asyncio.timeout(CONNECT_S):
                if await self._connected():
                    return
                cause = await self._trouble()
        except TimeoutError:
            cause = f"cannot be reached within {CONNECT_S:g} s; check the host name, the network and the device's power"
        except (ValueError, termios.error):
            cause = REFUSES
        except asyncio.CancelledError:
            self.close()
            raise
        self.close()
        raise PortLost(cause)

    async def ask(self, request: Ask, timeout_s: float) -> ModbusPDU:
        """Send a request and return its answer, which may be an exception response.

        Raises: TimeoutError; PortLost without a text where the connection breaks. After a cancellation the answer may
        still come.
        """
        self._data, self._expected = b"", None
        self._answer = asyncio.get_running_loop().create_future()
        try:
            await request(self._client)
            async with asyncio.timeout(timeout_s):
                return await self._answer
        except (ModbusException, ConnectionError) as error:
            raise PortLost from error
        finally:
            self._answer = None

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    async def _connected(self) -> bool:
        """Connect; a cancellation that pymodbus loses (it uses ``wait_for``) is not lost."""
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        connected = await self._client.connect()
        if task and task.cancelling() > before:
            raise asyncio.CancelledError
        return connected

    def _make(self) -> Client:
        line = self._line
        if line.transport is Transport.RTU:
            return AsyncModbusSerialClient(
                line.device or "",
                baudrate=line.baudrate or 9600,
                parity=parity_at(line.device or "", line.parity),
                stopbits=line.stopbits or 1,
                reconnect_delay=0,
                timeout=2 * CONNECT_S,
                retries=0,
                trace_packet=self._packet,
                trace_pdu=self._pdu,
                trace_connect=self._connection,
            )
        return AsyncModbusTcpClient(
            line.host or "",
            port=line.port or 502,
            framer=FramerType.SOCKET if line.transport is Transport.TCP else FramerType.RTU,
            reconnect_delay=0,
            timeout=2 * CONNECT_S,
            retries=0,
            trace_packet=self._packet,
            trace_pdu=self._pdu,
            trace_connect=self._connection,
        )

    def _packet(self, sending: bool, data: bytes) -> bytes:
        """Note what is sent; of what came, let pass only the answer to it."""
        if sending:
            self._expected = answers.expected(data, tcp=self._line.transport is Transport.TCP)
            self._data = b""
            return data
        self.heard += 1
        self._data = data
        if self._expected is None or self._answer is None or self._answer.done():
            return b""
        return answers.find(self._expected, data)

    def _pdu(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        if not sending and self._answer is not None and not self._answer.done():
            self._answer.set_result(pdu)
        return pdu

    def _connection(self, connected: bool) -> None:
        if not connected and self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError())

    async def _trouble(self) -> str:
        """Find out why the connection cannot be opened, since pymodbus only says that it cannot."""
        line = self._line
        if line.transport is Transport.RTU:
            return port_trouble(line.device or "")
        try:
            _, writer = await asyncio.open_connection(line.host, line.port)
        except ConnectionRefusedError:
            return "the connection is refused; check the port number, and that Modbus TCP is switched on"
        except OSError as error:
            return f"cannot be reached ({error.strerror or error}); check the host name and the network"
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return "the connection could not be opened; check whether the device serves several clients at once"

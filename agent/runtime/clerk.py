"""Carries out what the core orders of maintenance: fetches, verifies, installs, uploads, each in a thread of its own.

Whatever becomes of a transfer is an event; nothing of it holds up the loop, or ends the process.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, Generic, TypeAlias, TypeVar

import structlog

from agent.core.effects import Effect
from agent.core.errors import AgentError, InstallFailed
from agent.core.events import Event
from agent.core.facts import LogStatus
from agent.core.maintenance_effects import (
    CheckCertificate,
    CheckSignature,
    DropFirmware,
    FetchFirmware,
    InstallFirmware,
    KeepFirmware,
    RevertFirmware,
    SendLog,
)
from agent.core.maintenance_events import (
    CertificateChecked,
    FirmwareFetched,
    FirmwareInstalled,
    LogUploaded,
    SignatureChecked,
)
from agent.maintenance.http import Web
from agent.maintenance.image import IMAGE, Image, drop
from agent.maintenance.line import Line, TransferFailed, Trouble, apart
from agent.maintenance.signature import Untrusted, signer, verify_file
from agent.maintenance.transfer import fetch, send
from agent.ports import Clock, Installer

log = structlog.get_logger(__name__)

Order = TypeVar("Order")
FirmwareOrder: TypeAlias = FetchFirmware | CheckSignature | InstallFirmware | DropFirmware
FIRMWARE: Final = "firmware"
"""Folder of the state directory for what is fetched, and for the slots."""
OUTGOING: Final = "outgoing"
FETCH_S: Final = 4 * 3600.0
"""The largest image over the slowest line that is worth waiting for."""
SEND_S: Final = 1800.0
INSTALL_S: Final = 1800.0
CHECK_S: Final = 300.0

#: What kind of trouble an upload had -> its status.
STATUSES: Final = {
    Trouble.FAILED: LogStatus.UPLOAD_FAILURE,
    Trouble.REFUSED: LogStatus.BAD_MESSAGE,
    Trouble.FORBIDDEN: LogStatus.PERMISSION_DENIED,
    Trouble.UNSUPPORTED: LogStatus.NOT_SUPPORTED,
}


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the clerk works with.

    state_dir: has room for files; roots: PEM files of the manufacturers that are trusted at this moment; prepare: takes
    a snapshot of what is to be uploaded now, and returns what writes it into a file, in a thread.
    """

    state_dir: Path
    web: Web
    installer: Installer | None
    roots: Callable[[], Iterable[bytes]]
    prepare: Callable[[SendLog], Callable[[Path], None]]

    @property
    def folder(self) -> Path:
        """Where an image is fetched to."""
        return self.state_dir / FIRMWARE


class Desk(Generic[Order]):
    """Does one thing after the other; each comes to an event."""

    def __init__(self, do: Callable[[Order, Line], Coroutine[None, None, Event | None]]) -> None:
        """Have ``do`` done for each order."""
        self._do = do
        self._orders: deque[Order] = deque()
        self._arrived = asyncio.Event()
        self._line = Line()

    def take(self, order: Order, *, instead: bool = False) -> None:
        """Take an order; never waits. instead: what is being done is called off."""
        if instead:
            self._orders.clear()
            self._line.cut()
        self._orders.append(order)
        self._arrived.set()

    async def run(self, post: Callable[[Event], None]) -> None:
        """Work for ever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._orders:
                self._line = Line()
                event = await self._do(self._orders.popleft(), self._line)
                if event is not None:
                    post(event)


class Clerk:
    """Implements the port Destination for effects of maintenance."""

    def __init__(self, workshop: Workshop, clock: Clock, post: Callable[[Event], None]) -> None:
        """Keep what is needed; opens nothing."""
        self._shop = workshop
        self._clock = clock
        self._post = post
        self._firmware: Desk[FirmwareOrder] = Desk(self._on_firmware)
        self._certificates: Desk[CheckCertificate] = Desk(self._check_certificate)
        self._uploads: Desk[SendLog] = Desk(self._upload)

    def services(self) -> Sequence[Coroutine[None, None, None]]:
        """Return what has to run."""
        return [desk.run(self._post) for desk in (self._firmware, self._certificates, self._uploads)]

    def perform(self, effect: Effect) -> None:
        """Take an effect; never waits, but for a small file that has to be written before the process ends."""
        match effect:
            case DropFirmware():
                self._firmware.take(effect, instead=True)
            case FetchFirmware() | CheckSignature() | InstallFirmware():
                self._firmware.take(effect)
            case CheckCertificate():
                self._certificates.take(effect)
            case SendLog():
                self._uploads.take(effect, instead=True)
            case KeepFirmware() | RevertFirmware():
                self._decide(effect)
            case _:
                return

    def facts_committed(self) -> None:
        """Facts are not sent here."""

    def _decide(self, effect: KeepFirmware | RevertFirmware) -> None:
        installer = self._shop.installer
        if installer is None:
            return
        try:
            if isinstance(effect, KeepFirmware):
                installer.keep()
                log.info("the new firmware has proven itself")
            else:
                log.warning("the new firmware was not accepted by the central system: the one before it returns")
                installer.revert()
        except OSError as error:
            log.warning("what firmware to start cannot be written", cause=str(error))

    async def _on_firmware(self, order: FirmwareOrder, line: Line) -> Event | None:
        match order:
            case FetchFirmware():
                return await self._fetch(order, line)
            case CheckSignature():
                return await self._verify(order, line)
            case InstallFirmware():
                return await self._install(order, line)
            case DropFirmware():
                drop(self._shop.folder)
        return None

    async def _fetch(self, order: FetchFirmware, line: Line) -> Event:
        def work(line: Line) -> None:
            fetch(order.location, Image(self._shop.folder, order.job), self._shop.web, line)

        try:
            await apart(work, FETCH_S, line)
        except (TransferFailed, AgentError) as error:
            log.warning("firmware was not fetched", update=order.job, cause=str(error))
            return FirmwareFetched(order.job, whole=False)
        log.info("firmware fetched", update=order.job)
        return FirmwareFetched(order.job, whole=True)

    async def _verify(self, order: CheckSignature, line: Line) -> Event:
        now = self._clock.now().wall

        def work(_line: Line) -> None:
            certificate = signer(order.signing.certificate, self._shop.roots(), now)
            verify_file(self._shop.folder / IMAGE, order.signing.signature, certificate)

        genuine = await self._is_sound(work, line, "the image is not what was signed", order.job)
        return SignatureChecked(order.job, genuine)

    async def _check_certificate(self, order: CheckCertificate, line: Line) -> Event | None:
        signing, now = order.order.signing, self._clock.now().wall
        if signing is None:
            return None

        def work(_line: Line) -> None:
            signer(signing.certificate, self._shop.roots(), now)

        trusted = await self._is_sound(work, line, "an update's certificate is not trusted", None)
        return CertificateChecked(order.call, order.order, trusted)

    async def _is_sound(self, work: Callable[[Line], None], line: Line, fault: str, job: int | None) -> bool:
        try:
            await apart(work, CHECK_S, line)
        except (Untrusted, TransferFailed) as error:
            log.warning(fault, update=job, cause=str(error))
            return False
        return True

    async def _install(self, order: InstallFirmware, line: Line) -> Event:
        installer = self._shop.installer
        if installer is None:
            return FirmwareInstalled(order.job, None)
        work = partial(installer.install, self._shop.folder / IMAGE, order.job)
        try:
            version = await apart(work, INSTALL_S, line)
        except (InstallFailed, TransferFailed) as error:
            log.warning("firmware was not installed", update=order.job, cause=str(error))
            return FirmwareInstalled(order.job, None, faulty=isinstance(error, InstallFailed) and error.faulty)
        log.info("firmware installed; it runs from the next start on", update=order.job, version=version)
        return FirmwareInstalled(order.job, version)

    async def _upload(self, order: SendLog, line: Line) -> Event:
        fill, folder = self._shop.prepare(order), self._shop.state_dir / OUTGOING

        def work(line: Line) -> None:
            file = folder / order.name
            try:
                folder.mkdir(mode=0o700, exist_ok=True)
                fill(file)
                send(order.order.location, (file, order.name), self._shop.web, line)
            except OSError as error:
                raise TransferFailed(f"the file cannot be made ({error.strerror or error}): check the disk") from error
            finally:
                with suppress(OSError):
                    file.unlink(missing_ok=True)

        try:
            await apart(work, SEND_S, line)
        except (TransferFailed, AgentError) as error:
            log.warning("a log was not uploaded", file=order.name, cause=str(error))
            trouble = error.trouble if isinstance(error, TransferFailed) else Trouble.FAILED
            return LogUploaded(order.job, STATUSES[trouble])
        log.info("log uploaded", file=order.name)
        return LogUploaded(order.job, LogStatus.UPLOADED)


SecurityLog: TypeAlias = Callable[[datetime | None, datetime | None], str]
"""Returns the security log of a time, oldest first, one event per line."""

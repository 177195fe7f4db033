"""Keeps the station's keys, certificates and password: tells the link what to connect with, carries out commands.

What is slow (disk, arithmetic) runs on a thread, one thing after the other. Once an hour it looks at the calendar.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from agent.core.effects import ClearRequest, Effect, Entrust, KeepSecurityEvent, MakeRequest
from agent.core.events import Event
from agent.core.instant import TimeStatus
from agent.core.security_events import CertificateBegins, CertificateExpires, Entrusted, RequestMade
from agent.core.security_model import CertificateUse, SecurityEventKind, SecurityView
from agent.ocpp.link import Endpoint
from agent.ocpp.security import Credentials
from agent.ports import Clock
from agent.trust.certificate import Certificate, certificates
from agent.trust.keeping import Situation, keep, superseded
from agent.trust.request import requested
from agent.trust.security_log import SecurityLog
from agent.trust.store import Own, Passwords, Store

log = structlog.get_logger(__name__)

LOOK_S: Final = 3600.0
DAY_S: Final = 86_400.0
EXPIRES_SOON: Final = timedelta(days=30)
BASIC: Final = frozenset({1, 2})
TLS: Final = frozenset({2, 3})
CERTIFICATE: Final = 3


@dataclass(frozen=True, slots=True)
class Setup:
    """What the configuration file says.

    endpoint: with ``ca_file`` among its credentials; url_secure: where profiles 2 and 3 connect to, None for the same
    place; password: for profiles 1 and 2; certificate, key: for profile 3 until another one was signed; common_name:
    who the station is in its own certificates; additional_check: another root must be signed by the present one.
    """

    endpoint: Endpoint
    common_name: str
    url_secure: str | None = field(default=None, repr=False)
    password: bytes | None = field(default=None, repr=False)
    certificate: Path | None = None
    key: Path | None = None
    additional_check: bool = False


class Wallet:
    """Implements ``ocpp.access.Access``, and takes effects as a destination does."""

    def __init__(self, state_dir: Path, setup: Setup, *, clock: Clock, post: Callable[[Event], None]) -> None:
        """Read what is kept. Raises nothing: what cannot be read is left aside and told."""
        self._setup = setup
        self._clock = clock
        self._post = post
        self._store = Store(state_dir)
        self.log = SecurityLog(state_dir)
        self._given = _given(setup.endpoint.credentials.ca_file)
        self._configured = _configured(setup)
        self._held = self._store.load()
        self._jobs: deque[Callable[[], Event | None]] = deque()
        self._work = asyncio.Event()
        self._in_use = frozenset[str]()
        self._organisation = ""
        self._second_chance = False
        self._with_password = False
        self._present = self._own
        self._asked_at = -DAY_S

    # ---- for the link ------------------------------------------------------------------------------------------------

    def endpoint(self, profile: int) -> Endpoint:
        """Return where and with what to connect now, with this security profile."""
        base, own = self._setup.endpoint, self._own
        self._with_password = profile in BASIC
        credentials = Credentials(
            password=self._password if self._with_password else None,
            ca_file=base.credentials.ca_file,
            anchors=tuple(root.pem for root in self._held.central),
            certificate=own.chain if own is not None and profile == CERTIFICATE else None,
            key=own.key if own is not None and profile == CERTIFICATE else None,
        )
        return replace(base, url=self._url(profile), credentials=credentials)

    def connected(self, chain: tuple[bytes, ...]) -> None:
        """Take that a connection stands: what it was made with has proven itself."""
        self._in_use = frozenset(sha256(der).hexdigest() for der in chain)
        if self._with_password and self._held.passwords.previous is not None:
            proven = self._password
            self._second_chance = False
            self._do(lambda: self._store.put_passwords(Passwords(proven)))
        if self._setup.additional_check:
            for old in superseded(self._held, self._in_use):
                self._do(partial(self._store.drop_root, CertificateUse.CENTRAL_SYSTEM, old))

    def failed(self, kind: SecurityEventKind | None) -> None:
        """Take that none could be opened; a password that is refused alternates with the one before."""
        self._in_use = frozenset()
        if kind is SecurityEventKind.FAILED_TO_AUTHENTICATE and self._held.passwords.previous is not None:
            self._second_chance = not self._second_chance

    def view(self) -> SecurityView:
        """Return what there is to connect with."""
        now = self._now
        roots = (*self._held.central, *self._given)
        return SecurityView(
            password=self._password is not None,
            root=any(now is None or root.not_after > now for root in roots),
            certificate=self._own is not None,
            additional_check=self._setup.additional_check,
        )

    def warnings(self) -> tuple[str, ...]:
        """Return what expires within a month, in words."""
        own, now = self._own, self._now
        if now is None:
            return ()
        dated = [("a root for the central system", root) for root in self._held.central]
        dated += [] if own is None else [("the station's certificate", own.certificate)]
        return tuple(
            f"{what} ({one.common_name or 'without name'}) expires on {one.not_after:%Y-%m-%d}"
            if one.not_after > now
            else f"{what} ({one.common_name or 'without name'}) expired on {one.not_after:%Y-%m-%d}"
            for what, one in dated
            if one.not_after - now < EXPIRES_SOON
        )

    # ---- for the core ------------------------------------------------------------------------------------------------

    def perform(self, effect: Effect) -> None:
        """Take what is for this part; never waits."""
        match effect:
            case Entrust():
                self._do(lambda: self._entrusted(effect))
            case KeepSecurityEvent():
                self._do(lambda: self.log.add(effect))
            case MakeRequest(organisation):
                self._organisation = organisation
                self._do(lambda: self._requested(organisation))
            case ClearRequest():
                self._do(self._store.drop_request)
            case _:
                return

    def facts_committed(self) -> None:
        """Facts are sent by others."""

    async def run(self) -> None:
        """Carry out what was taken, for ever; returns only by cancellation."""
        while True:
            while self._jobs:
                await self._carry_out(self._jobs[0])
                self._jobs.popleft()
            self._work.clear()
            self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._work.wait()

    async def _carry_out(self, job: Callable[[], Event | None]) -> None:
        try:
            event = await asyncio.to_thread(job)
            self._held = await asyncio.to_thread(self._store.load)
        except OSError as error:
            log.warning("keys or certificates cannot be kept: check the disk", cause=error.strerror)
            return
        if event is not None:
            self._post(event)

    def _do(self, job: Callable[[], Event | None]) -> None:
        self._jobs.append(job)
        self._work.set()

    def _entrusted(self, effect: Entrust) -> Event:
        done = keep(self._store, effect.command, self._situation())
        return Entrusted(effect.call, done.outcome, done.kind, done.info, done.reconnect)

    def _requested(self, organisation: str) -> Event:
        made = requested(self._setup.common_name, organisation)
        self._store.put_request(made.key)
        return RequestMade(made.csr)

    def _look(self) -> None:
        """See whether another certificate has become valid, and whether the present one is about to expire."""
        own, now, mono = self._own, self._now, self._clock.now().mono
        if own != self._present:
            begun, self._present = self._present is not None, own
            if begun:
                self._post(CertificateBegins())
        if own is None or now is None:
            return
        if own.certificate.not_after - now < EXPIRES_SOON and mono - self._asked_at >= DAY_S:
            self._asked_at = mono
            self._post(CertificateExpires())
        if len(self._held.own) > 1:
            self._do_quietly(now)

    def _do_quietly(self, now: datetime) -> None:
        """Forget certificates that are of no use any more, with the next thing that is done."""
        self._jobs.append(lambda: self._store.sweep(now))

    # ---- what holds now ----------------------------------------------------------------------------------------------

    @property
    def _now(self) -> datetime | None:
        """The time, None while nobody knows it."""
        at = self._clock.now()
        return None if at.status is TimeStatus.UNKNOWN else at.wall

    @property
    def _password(self) -> bytes | None:
        kept = self._held.passwords
        if kept.present is None:
            return self._setup.password
        return kept.previous if self._second_chance and kept.previous is not None else kept.present

    @property
    def _own(self) -> Own | None:
        """The station's certificate: of those that are valid by now the one that began last, or that of the file."""
        now = self._now
        begun = [one for one in self._held.own if now is None or one.certificate.not_before <= now]
        return begun[-1] if begun else self._configured

    def _url(self, profile: int) -> str:
        url = self._setup.endpoint.url
        if profile not in TLS or url.startswith("wss:"):
            return url
        return self._setup.url_secure or f"wss{url.removeprefix('ws')}"

    def _situation(self) -> Situation:
        return Situation(
            now=self._now,
            password=self._setup.password,
            given=self._given,
            in_use=self._in_use,
            common_name=self._setup.common_name,
            organisation=self._organisation,
            additional_check=self._setup.additional_check,
        )


def _given(ca_file: Path | None) -> tuple[Certificate, ...]:
    """Return the certificates of ``ca_file``, none where they cannot be read: that is told when they are used."""
    try:
        return () if ca_file is None else certificates(ca_file.read_text("ascii", errors="replace"))
    except (OSError, ValueError):
        return ()


def _configured(setup: Setup) -> Own | None:
    if setup.certificate is None or setup.key is None:
        return None
    try:
        leaf = certificates(setup.certificate.read_text("ascii", errors="replace"))[0]
        return Own(leaf, setup.certificate, setup.key)
    except (OSError, ValueError):
        return None

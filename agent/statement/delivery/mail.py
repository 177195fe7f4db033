"""Delivery by mail: one letter with a file per format attached, to each reader once.

The server is always spoken to by TLS: from the first byte on port 465, after STARTTLS on others (RFC 8314, section 3.3;
``delivery.tls`` says otherwise). Without TLS nothing is sent, no password either.
"""

from __future__ import annotations

import smtplib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Final

from agent.statement.delivery.errand import Line, NotReached
from agent.statement.delivery.parcel import Parcel
from agent.statement.delivery.secret import token_in
from agent.statement.delivery.trouble import context, said, unreached

ANSWER_S: Final = 20.0
"""For each step of the conversation; the errand as a whole is bounded too."""
READY: Final = 220
NO_TLS: Final = "the mail server offers no TLS (STARTTLS), and without it nothing is sent: check delivery.port"


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail server, and who reads the letter.

    implicit: TLS from the first byte; user, password: how the station proves itself, the latter in a file.
    """

    name: str
    formats: tuple[str, ...]
    host: str
    port: int
    implicit: bool
    sender: str
    to: tuple[str, ...]
    user: str | None = None
    password: Path | None = None
    ca_file: Path | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The readers: a server may take the letter for some and not for others."""
        return self.to

    def trips(self, parts: Sequence[str]) -> Sequence[tuple[str, ...]]:
        """Return all at once."""
        return [tuple(parts)]

    def papers(self, parts: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG002  # the interface's
        """Return all formats: each reader gets the whole letter."""
        return self.formats

    def send(self, parts: Sequence[str], parcel: Parcel, line: Line) -> Mapping[str, str]:
        """Send the letter to readers. Raises: NotReached."""
        letter = self._letter(parcel)
        try:
            with self._session(line) as session:
                refused = session.send_message(letter, self.sender, list(parts))
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except smtplib.SMTPAuthenticationError as error:
            words = "the mail server refuses user or password"
            raise NotReached(f"{words} ({_answer(error)}): check delivery.user and its password") from error
        except smtplib.SMTPResponseException as error:
            raise NotReached(f"the mail server answers {_answer(error)}: ask its operator") from error
        except smtplib.SMTPServerDisconnected as error:
            raise NotReached("the mail server hung up: check delivery.port; it is tried again") from error
        except smtplib.SMTPException as error:
            raise NotReached(f"the mail server cannot do what is needed: {said(str(error))}") from error
        except OSError as error:
            raise NotReached(unreached(error, mail=True)) from error
        return {reader: f"the mail server answers {code} {said(text)}" for reader, (code, text) in refused.items()}

    def _session(self, line: Line) -> smtplib.SMTP:
        """Return a conversation that is private, and in which the station has proved itself. Raises: NotReached."""
        tls = context(self.ca_file)
        if self.implicit:
            session: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=ANSWER_S, context=tls)
        else:
            session = smtplib.SMTP(self.host, self.port, timeout=ANSWER_S)
        try:
            line.hold(session.sock)
            self._prove(session, line)
        except BaseException:
            session.close()
            raise
        return session

    def _prove(self, session: smtplib.SMTP, line: Line) -> None:
        if not self.implicit:
            session.ehlo_or_helo_if_needed()
            if not session.has_extn("starttls"):
                raise NotReached(NO_TLS)
            code, text = session.starttls(context=context(self.ca_file))
            line.hold(session.sock)
            if code != READY:
                raise NotReached(f"{NO_TLS} ({code} {said(text)})")
        if self.user is not None and self.password is not None:
            session.login(self.user, token_in(self.password, "delivery.password_file"))

    def _letter(self, parcel: Parcel) -> EmailMessage:
        """Return the letter; its id is the same when it is sent again, so that readers' servers can tell."""
        letter = EmailMessage(policy=SMTP)
        letter["From"] = _address(self.sender)
        letter["To"] = [_address(reader) for reader in self.to]
        letter["Subject"] = parcel.subject
        letter["Date"] = format_datetime(parcel.at)
        letter["Message-ID"] = f"<{parcel.id}@{self.sender.rpartition('@')[2]}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(parcel.text)
        for paper in parcel.papers.values():
            media, _, charset = paper.content_type.partition("; charset=")
            kind, _, rest = media.partition("/")
            params = {"charset": charset} if charset else {}
            letter.add_attachment(paper.content, maintype=kind, subtype=rest, filename=paper.name, params=params)
        return letter


def _address(text: str) -> Address:
    user, _, domain = text.rpartition("@")
    return Address(username=user, domain=domain)


def _answer(error: smtplib.SMTPResponseException) -> str:
    return f"{error.smtp_code} {said(error.smtp_error)}".rstrip()

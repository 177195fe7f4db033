"""Why a server was not reached, or does not take something, in words on which an installer can act."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Final

from agent.core.errors import ConfigError
from agent.ocpp.causes import Attempt, explain, printable
from agent.ocpp.security import Credentials, tls_context
from agent.statement.delivery.errand import NotReached

SECURE: Final = Attempt("wss://")
#: What the causes of connections to a central system are called here; the keys of a mail server differ.
NAMES: Final = (("the central system", "the server"), ("(security profile 3)", ""), ("cloud.", "delivery."))
MAIL: Final = (
    ("host and port in delivery.url", "delivery.host and delivery.port"),
    ("the host in delivery.url", "delivery.host"),
    ("the port in delivery.url", "delivery.port"),
    ("for into delivery.url", "for into delivery.host"),
)


def context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that verifies the server, against the CAs of the system or of a file. Raises: NotReached."""
    try:
        return tls_context(Credentials(ca_file=ca_file))
    except ConfigError as error:
        raise NotReached(_named(str(error))) from error


def unreached(error: OSError, *, mail: bool = False) -> str:
    """Return what an error of name service, network or TLS means."""
    words = _named(explain(error, SECURE))
    for one, other in MAIL if mail else ():
        words = words.replace(one, other)
    return words


def said(content: bytes | str, secret: str | None = None) -> str:
    """Return what a server says as it may be shown: one line, nothing that a terminal acts upon, and no secret."""
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
    if secret:
        text = text.replace(secret, "***")
    text = " ".join(text.split())
    return "" if re.match(r"<(!doctype|html|\?xml)", text, re.IGNORECASE) else printable(text)


def _named(words: str) -> str:
    for one, other in NAMES:
        words = words.replace(one, other)
    return words

"""Rules that need more than one key: security profiles, names that stand twice, statement, deliveries."""

from __future__ import annotations

import codecs
import ssl
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from agent.core.errors import ConfigError
from agent.ocpp.security import present
from agent.runtime.config.hardware import Hardware
from agent.runtime.config.prices import price_problems
from agent.runtime.config.schema import Keys, Problem
from agent.runtime.config.sections import Cloud, Connector, Delivery, Document, Statement
from agent.runtime.config.wires import device_problems

MOST_CONNECTORS: Final = 2
BASIC: Final = frozenset({1, 2})
TLS: Final = frozenset({2, 3})
CERTIFICATE: Final = 3
OFFERED: Final = frozenset({"ocpp1.6"})
"""The subprotocols that this release speaks."""
TAKEN: Final = frozenset({"cloud", "control"})
"""Names of destinations that are there anyway."""
#: What each type of delivery cannot do without, and how it is written.
NEEDED: Final = {
    "folder": {"path": '"/srv/statements"'},
    "https": {"url": '"https://payroll.example/in"'},
    "mail": {"host": '"mail.example"', "to": '["fleet@acme.example"]'},
}


def problems_of(
    document: Document, hardware: Hardware, *, secrets: bool, given: Collection[str] = ()
) -> Iterator[Problem]:
    """Yield what is wrong although each key by itself is right.

    secrets: a password that is missing is wrong too; given: deliveries whose secret is a credential.
    """
    yield from _cloud(("cloud",), document.cloud, secrets=secrets)
    for number, other in enumerate(document.report_to):
        yield from _cloud(("report_to", number), other, secrets=secrets)
        if other.name.casefold() in TAKEN:
            words = f'"{other.name}" is taken by the station itself; use another name'
            yield Problem(("report_to", number, "name"), words)
    yield from _named_twice("report_to", [other.name for other in document.report_to])
    yield from _connectors(document.connector)
    yield from device_problems(document, hardware)
    yield from price_problems(document)
    if document.statement is not None:
        yield from _statement(document.statement)
    for number, delivery in enumerate(document.delivery):
        yield from _delivery(("delivery", number), delivery, secrets=secrets and delivery.name not in given)
    yield from _named_twice("delivery", [delivery.name for delivery in document.delivery])


def secret_in(path: Path) -> str:
    """Return the secret in a file, white space around it left out. Raises: ValueError; its words follow the path."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise ValueError("is not UTF-8 text; write the secret alone into it") from error
    if not secret:
        raise ValueError("is empty; write the secret into it")
    return secret


def password_in(path: Path) -> bytes:
    """Return the password in a file: its bytes, which need be no text, without the line ends at the end.

    Raises: ValueError; its words follow the path.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror}); check the path") from error
    if content.startswith(codecs.BOM_UTF8):
        raise ValueError("begins with a byte order mark, which would be sent too; save the file without it")
    password = content.rstrip(b"\r\n")
    if not password.strip():
        raise ValueError("is empty; write the password alone into it")
    return password


def _cloud(keys: Keys, cloud: Cloud, *, secrets: bool) -> Iterator[Problem]:
    yield from _passwords(keys, cloud, secrets=secrets)
    yield from _profile(keys, cloud)
    if not OFFERED.intersection(cloud.protocols):
        yield Problem((*keys, "protocols"), f'"{cloud.protocols[0]}" is not part of this release; add "ocpp1.6"')


def _passwords(keys: Keys, cloud: Cloud, *, secrets: bool) -> Iterator[Problem]:
    profile = cloud.security_profile
    if cloud.password is not None and cloud.password_file is not None:
        yield Problem((*keys, "password_file"), "stands beside password; keep one of the two")
    if cloud.password_file is not None:
        yield from _secret((*keys, "password_file"), cloud.password_file, password_in)
    if secrets and profile in BASIC and cloud.password is None and cloud.password_file is None:
        words = f"missing; security profile {profile} needs password, password_file or the credential cloud.password"
        yield Problem((*keys, "password"), f"{words} (which only the service sees)")


def _secret(keys: Keys, path: Path, read: Callable[[Path], object] = secret_in) -> Iterator[Problem]:
    try:
        read(path)
    except ValueError as error:
        yield Problem(keys, f'"{path}" {error}')


def _profile(keys: Keys, cloud: Cloud) -> Iterator[Problem]:
    """Yield what does not fit the security profile."""
    profile, secure = cloud.security_profile, cloud.url.startswith("wss://")
    place = (*keys, "security_profile")
    if profile in TLS and not secure:
        yield Problem(place, f"{profile} needs a url that begins with wss://; change url, or use 0 or 1")
    if profile == 1 and secure:
        yield Problem(place, "1 is without TLS but url begins with wss://; use 2 for wss:// with a password")
    for name, other in (("client_cert_file", "client_key_file"), ("client_key_file", "client_cert_file")):
        if getattr(cloud, name) is None and getattr(cloud, other) is not None:
            yield Problem((*keys, name), f"missing; a client certificate needs it: add {name}, the path of a PEM file")
    certificate, key = cloud.client_cert_file, cloud.client_key_file
    if profile == CERTIFICATE and certificate is None and key is None:
        words = "missing; security profile 3 needs it and client_key_file, the paths of PEM files"
        yield Problem((*keys, "client_cert_file"), words)
    if profile == CERTIFICATE and certificate is not None and key is not None:
        yield from _pair((*keys, "client_cert_file"), certificate, key)


def _pair(keys: Keys, certificate: Path, key: Path) -> Iterator[Problem]:
    """Yield why a certificate and its key cannot be used."""
    try:
        present(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)
    except ConfigError as error:
        yield Problem(keys, str(error))


def _named_twice(section: str, names: Sequence[str]) -> Iterator[Problem]:
    for number, name in enumerate(names):
        if name.casefold() in {earlier.casefold() for earlier in names[:number]}:
            yield Problem((section, number, "name"), f'"{name}" stands twice; give each {section} a name of its own')


def _connectors(connectors: Sequence[Connector]) -> Iterator[Problem]:
    if not 1 <= len(connectors) <= MOST_CONNECTORS:
        yield Problem(
            ("connector",), f"{len(connectors)} connectors are not allowed; write [[connector]] once or twice"
        )
    seen = Counter[str]()
    for number, connector in enumerate(connectors):
        keys: Keys = ("connector", number)
        identity = (connector.evse_id or "").upper()
        if identity and seen[identity]:
            yield Problem((*keys, "evse_id"), f'"{connector.evse_id}" stands twice; each connector has its own')
        seen[identity] += 1
        if connector.evse.failsafe_current > connector.max_current:
            words = f"{connector.evse.failsafe_current} is more than max_current ({connector.max_current} A); use less"
            yield Problem((*keys, "evse", "failsafe_current"), words)


def _statement(statement: Statement) -> Iterator[Problem]:
    if statement.basis == "flat" and statement.flat_price is None:
        yield Problem(("statement", "flat_price"), 'missing; basis "flat" needs it: add flat_price = 0.34 (per kWh)')


def _delivery(keys: Keys, delivery: Delivery, *, secrets: bool) -> Iterator[Problem]:
    for name, example in NEEDED[delivery.type].items():
        if getattr(delivery, name) is None:
            yield Problem((*keys, name), f'missing; type "{delivery.type}" needs it: add {name} = {example}')
    for name in ("token_file", "password_file"):
        if (path := getattr(delivery, name)) is not None:
            yield from _secret((*keys, name), path)
    if delivery.password_file is not None and delivery.user is None:
        yield Problem(
            (*keys, "user"), "missing; password_file belongs to a user: add user, the name at the mail server"
        )
    if secrets and delivery.user is not None and delivery.password_file is None and delivery.type == "mail":
        words = f"missing; user needs it, or the credential delivery.{delivery.name}.password"
        yield Problem((*keys, "password_file"), f"{words} (which only the service sees)")

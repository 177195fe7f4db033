"""What becomes of a command about passwords and certificates: each is judged, and kept where it is good.

Source: Improved security for OCPP 1.6-J, ed. 3, use cases A01, A02, M03 to M05. Nothing here is for the event loop.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, assert_never

from agent.core.commands import Outcome, Result
from agent.core.security_commands import (
    ChangePassword,
    DeleteCertificate,
    ForgetPassword,
    GetCertificates,
    InstallCertificate,
    RequestCertificate,
    SecurityCommand,
    TakeCertificate,
)
from agent.core.security_model import CertificateUse, SecurityEventKind
from agent.trust.certificate import ALGORITHMS, Certificate, certificates
from agent.trust.chain import check_own
from agent.trust.signature import is_signed_by
from agent.trust.store import Holdings, Passwords, Store

CHAIN_LENGTH: Final = 10_000
STORE_LENGTH: Final = 10
"""As CertificateSignedMaxChainSize and CertificateStoreMaxLength say."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a judgement rests on beside what is stored.

    now: None while nobody knows the time, so that none is looked at; password: that of the configuration file; given:
    roots of its ``ca_file``; in_use: fingerprints of the certificates that verified the present connection; subject:
    common name and organisation of the last request; additional_check: a new root must be signed by an old one.
    """

    now: datetime | None
    password: bytes | None
    given: tuple[Certificate, ...]
    in_use: frozenset[str]
    common_name: str
    organisation: str
    additional_check: bool


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command; kind, info: the security event that it is; reconnect: the password changed."""

    outcome: Outcome
    kind: SecurityEventKind | None = None
    info: str | None = None
    reconnect: bool = False


def keep(store: Store, command: SecurityCommand, at: Situation) -> Done:
    """Carry out a command; a disk that takes nothing makes it fail."""
    try:
        return _kept(store, command, store.load(), at)
    except OSError as error:
        words = f"the state directory does not take it ({error.strerror}): check its disk"
        return Done(Outcome(command, Result.FAILED, words))


def _kept(store: Store, command: SecurityCommand, held: Holdings, at: Situation) -> Done:  # noqa: PLR0911  # one line per command
    match command:
        case ChangePassword():
            return _password(store, command, held, at)
        case ForgetPassword():
            return _forget(store, command)
        case InstallCertificate():
            return _install(store, command, held, at)
        case DeleteCertificate():
            return _delete(store, command, held, at)
        case GetCertificates():
            return _installed(command, held, at)
        case TakeCertificate():
            return _take(store, command, held, at)
        case RequestCertificate():
            return Done(Outcome(command, Result.REJECTED, "the core begins with it, not who keeps certificates"))
    assert_never(command)


def known_roots(held: Holdings, at: Situation) -> tuple[Certificate, ...]:
    """Return the roots by which central systems are verified, each once."""
    return tuple({root.fingerprint: root for root in (*held.central, *at.given)}.values())


def superseded(held: Holdings, in_use: frozenset[str]) -> tuple[Certificate, ...]:
    """Return the installed roots whose successor has verified a connection."""
    new = [root for root in held.central if root.fingerprint in in_use]
    return tuple(
        old for old in held.central if any(old.fingerprint != one.fingerprint and is_signed_by(one, old) for one in new)
    )


def _changed(command: SecurityCommand, info: str) -> Done:
    return Done(Outcome(command, Result.ACCEPTED), SecurityEventKind.RECONFIGURATION, info, reconnect=True)


def _password(store: Store, command: ChangePassword, held: Holdings, at: Situation) -> Done:
    """Keep a password; the one that has opened connections stays beside it until this one has."""
    before = held.passwords
    proven = before.previous or before.present or at.password
    store.put_passwords(Passwords(command.password, None if proven == command.password else proven))
    return _changed(command, "the password (AuthorizationKey) was changed")


def _forget(store: Store, command: ForgetPassword) -> Done:
    store.drop_passwords()
    return _changed(command, "the password is that of the configuration file again")


def _install(store: Store, command: InstallCertificate, held: Holdings, at: Situation) -> Done:
    try:
        root = _root(command, held, at)
    except ValueError as error:
        return Done(Outcome(command, Result.REJECTED, str(error)))
    if all(root.fingerprint != one.fingerprint for one in held.roots(command.use)):
        store.put_root(command.use, root)
    info = f"{command.use} {root.common_name or ''} was installed"
    return Done(Outcome(command, Result.ACCEPTED), SecurityEventKind.RECONFIGURATION, info)


def _root(command: InstallCertificate, held: Holdings, at: Situation) -> Certificate:
    """Return the root that shall be installed. Raises: ValueError where it may not."""
    found = certificates(command.pem)
    root = found[0]
    rules: tuple[tuple[Callable[[], bool], str], ...] = (
        (lambda: len(found) == 1, "there are several certificates: send one"),
        (lambda: root.is_ca, "it is no CA's"),
        (lambda: root.is_strong, "its key is too short, or of a kind that is not used"),
        (lambda: at.now is None or root.not_before <= at.now <= root.not_after, "it is not valid at this time"),
        (lambda: _is_usable(root), "OpenSSL cannot read it"),
        (lambda: _has_room(command.use, root, held), f"{STORE_LENGTH} roots are installed: delete one first"),
        (lambda: _may_follow(command.use, root, held, at), "it is not signed by the present root"),
    )
    for is_kept, words in rules:
        if not is_kept():
            raise ValueError(words)
    return root


def _is_usable(root: Certificate) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=root.pem)
    except ssl.SSLError:
        return False
    return True


def _has_room(use: CertificateUse, root: Certificate, held: Holdings) -> bool:
    known = any(root.fingerprint == one.fingerprint for one in held.roots(use))
    return known or len(held.central) + len(held.manufacturer) < STORE_LENGTH


def _may_follow(use: CertificateUse, root: Certificate, held: Holdings, at: Situation) -> bool:
    present = known_roots(held, at)
    if use is not CertificateUse.CENTRAL_SYSTEM or not at.additional_check or not present:
        return True
    return any(root.fingerprint == old.fingerprint or is_signed_by(root, old) for old in present)


def _delete(store: Store, command: DeleteCertificate, held: Holdings, at: Situation) -> Done:
    """Delete a root that nobody needs now; the station's own certificates and those of ``ca_file`` stay."""
    for use in CertificateUse:
        for root in held.roots(use):
            if _is_meant(root, command, _everything(held, at)):
                if use is CertificateUse.CENTRAL_SYSTEM and root.fingerprint in at.in_use:
                    return Done(Outcome(command, Result.FAILED, "it verifies the present connection"))
                store.drop_root(use, root)
                info = f"{use} {root.common_name or ''} was deleted"
                return Done(Outcome(command, Result.ACCEPTED), SecurityEventKind.RECONFIGURATION, info)
    others = (*at.given, *(one.certificate for one in held.own))
    kept = any(_is_meant(one, command, _everything(held, at)) for one in others)
    return Done(Outcome(command, Result.FAILED if kept else Result.NOT_FOUND))


def _installed(command: GetCertificates, held: Holdings, at: Situation) -> Done:
    roots = known_roots(held, at) if command.use is CertificateUse.CENTRAL_SYSTEM else held.manufacturer
    everything = _everything(held, at)
    named = tuple(root.named(ALGORITHMS[0], _issuer_key(root, everything)) for root in roots)
    return Done(Outcome(command, Result.ACCEPTED if named else Result.NOT_FOUND, certificates=named))


def _everything(held: Holdings, at: Situation) -> tuple[Certificate, ...]:
    return (*held.central, *held.manufacturer, *at.given)


def _is_meant(one: Certificate, command: DeleteCertificate, everything: Iterable[Certificate]) -> bool:
    algorithm = command.named.algorithm
    return algorithm in ALGORITHMS and one.named(algorithm, _issuer_key(one, everything)) == command.named


def _issuer_key(one: Certificate, everything: Iterable[Certificate]) -> bytes | None:
    """Return the key of the issuer as far as it is known; a root's is its own."""
    if one.issuer == one.subject:
        return None
    return next((issuer.key for issuer in everything if is_signed_by(one, issuer)), None)


def _take(store: Store, command: TakeCertificate, held: Holdings, at: Situation) -> Done:
    """Keep a certificate that was signed for the station, where it is what was asked for and leads to a root (A02)."""
    try:
        chain = _chain(store, command, held, at)
    except ValueError as error:
        refused = Outcome(command, Result.REJECTED, str(error))
        return Done(refused, SecurityEventKind.INVALID_CHARGE_POINT_CERTIFICATE, str(error))
    store.put_own(chain)
    leaf = chain[0]
    words = f"a certificate of this station is used from {leaf.not_before:%Y-%m-%d} to {leaf.not_after:%Y-%m-%d}"
    return Done(Outcome(command, Result.ACCEPTED), SecurityEventKind.RECONFIGURATION, words)


def _chain(store: Store, command: TakeCertificate, held: Holdings, at: Situation) -> tuple[Certificate, ...]:
    """Return the station's certificate with its chain. Raises: ValueError where it may not be used."""
    if len(command.chain) > CHAIN_LENGTH:
        raise ValueError(f"the chain is longer than {CHAIN_LENGTH} characters")
    if not held.requested:
        raise ValueError("no certificate was asked for")
    chain = certificates(command.chain)
    leaf, others = chain[0], chain[1:]
    if leaf.common_name != at.common_name or (at.organisation and leaf.organisation != at.organisation):
        raise ValueError("its name is not the one that was asked for")
    if at.now is not None and (
        any(one.not_after <= at.now for one in chain) or any(one.not_before > at.now for one in others)
    ):
        raise ValueError("it has expired, or its CA's is not valid at this time")
    with TemporaryDirectory(prefix=".", dir=store.request_key.parent) as folder:
        file = Path(folder) / "chain.pem"
        file.write_text("".join(one.pem for one in chain), "ascii")
        check_own(file, store.request_key, [root.pem for root in known_roots(held, at)])
    return chain

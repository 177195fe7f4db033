"""Messages of the security whitepaper in OCPP 1.6: requests, answers, and the keys that change with them.

Source: Improved security for OCPP 1.6-J, ed. 3, sections 5 to 7; A00.FR.205 (passwords).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from agent.core.commands import ChangeSetting, Command, Outcome, Result
from agent.core.facts import SecurityEventRaised
from agent.core.security_commands import (
    ChangePassword,
    DeleteCertificate,
    GetCertificates,
    InstallCertificate,
    SecurityCommand,
    TakeCertificate,
)
from agent.core.security_model import CertificateHash, CertificateUse
from agent.ocpp.dialect import Call, Immediate, StationView, stamp
from agent.ocpp.rpc import JsonObject

CHAIN_LENGTH: Final = 10_000
"""Characters of a certificate chain (CertificateSignedMaxChainSize)."""
STORE_LENGTH: Final = 10
"""Roots that may be installed, of both uses together (CertificateStoreMaxLength)."""
HIGHEST: Final = 3
NAME_LENGTH: Final = 64
"""Of an organisation in a certificate (RFC 5280, ub-organization-name)."""
LITERAL: Final = range(16, 21)
"""Characters of a password that is written as it is."""
ENCODED: Final = range(32, 41)
"""Characters of a password that is written in hex, two for each byte."""
RESULTS: Final[Mapping[Result, str]] = {
    Result.ACCEPTED: "Accepted",
    Result.FAILED: "Failed",
    Result.NOT_FOUND: "NotFound",
}


def security_event(fact: SecurityEventRaised) -> Call:
    """Return SecurityEventNotification."""
    payload: JsonObject = {"type": fact.kind.value, "timestamp": stamp(fact.at.wall)}
    if fact.info:
        payload["techInfo"] = fact.info
    return Call("SecurityEventNotification", payload)


def sign_certificate(csr: str) -> Call:
    """Return SignCertificate; csr: PEM."""
    return Call("SignCertificate", {"csr": csr})


def answer(command: SecurityCommand, outcome: Outcome) -> JsonObject:
    """Return the answer to a command of ``DECODERS``."""
    status = RESULTS.get(outcome.result, "Rejected")
    match command:
        case GetCertificates() if outcome.certificates:
            return {"status": "Accepted", "certificateHashData": [_named(one) for one in outcome.certificates]}
        case GetCertificates():
            return {"status": "NotFound"}
        case DeleteCertificate():
            return {"status": status if outcome.result in RESULTS else "Failed"}
        case InstallCertificate():
            return {"status": "Rejected" if outcome.result is Result.NOT_FOUND else status}
        case _:
            return {"status": "Accepted" if outcome.result is Result.ACCEPTED else "Rejected"}


def password(text: str, _station: StationView) -> Command:
    """Return the change of AuthorizationKey: hex of 16 to 20 bytes, or as many characters as they are.

    Raises: ValueError, which does not repeat it.
    """
    if len(text) in LITERAL:
        return ChangePassword(text.encode())
    if len(text) in ENCODED and re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", text):
        return ChangePassword(bytes.fromhex(text))
    raise ValueError("must be 32 to 40 hexadecimal digits, or 16 to 20 characters")


def profile(text: str, station: StationView) -> Command:
    """Return the change of SecurityProfile: upwards, and only where what the profile needs is there (A05).

    Raises: ValueError, which says what is missing.
    """
    now, has = station.settings.security_profile, station.security
    if not re.fullmatch(r"[0-9]", text.strip()) or not now < int(text) <= HIGHEST:
        raise ValueError(f"must be higher than the present one ({now}), at most {HIGHEST}")
    wanted = int(text)
    needs = (
        (wanted < HIGHEST and not has.password, "a password: set AuthorizationKey"),
        (wanted > 1 and not has.root, "a root of the central system: install its certificate"),
        (wanted == HIGHEST and not has.certificate, "a certificate of this station: have one signed"),
    )
    for is_missing, words in needs:
        if is_missing:
            raise ValueError(f"needs {words}")
    return ChangeSetting("security_profile", wanted)


def operator(text: str, _station: StationView) -> Command:
    """Return the change of CpoName. Raises: ValueError."""
    if not text.strip() or not text.isprintable() or len(text) > NAME_LENGTH:
        raise ValueError(f"must be one line of 1 to {NAME_LENGTH} characters")
    return ChangeSetting("cpo_name", text.strip())


def _named(certificate: CertificateHash) -> JsonObject:
    return {
        "hashAlgorithm": certificate.algorithm,
        "issuerNameHash": certificate.issuer_name,
        "issuerKeyHash": certificate.issuer_key,
        "serialNumber": certificate.serial,
    }


def _install(payload: JsonObject, _station: StationView) -> Command:
    return InstallCertificate(CertificateUse(str(payload["certificateType"])), str(payload["certificate"]))


def _delete(payload: JsonObject, _station: StationView) -> Command:
    data = payload["certificateHashData"]
    named = {name: str(value).lower() for name, value in data.items()} if isinstance(data, dict) else {}
    return DeleteCertificate(
        CertificateHash(
            named["hashAlgorithm"].upper(),
            named["issuerNameHash"],
            named["issuerKeyHash"],
            named["serialNumber"].lstrip("0") or "0",
        )
    )


def _installed(payload: JsonObject, _station: StationView) -> Command:
    return GetCertificates(CertificateUse(str(payload["certificateType"])))


def _signed(payload: JsonObject, _station: StationView) -> Command:
    return TakeCertificate(str(payload["certificateChain"]))


#: Action -> what makes a command of its payload, which is valid by then.
DECODERS: Final[Mapping[str, Callable[[JsonObject, StationView], Command | Immediate]]] = {
    "InstallCertificate": _install,
    "DeleteCertificate": _delete,
    "GetInstalledCertificateIds": _installed,
    "CertificateSigned": _signed,
}

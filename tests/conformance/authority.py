"""Certificates for the conformance cases, and the TLS of a central system that has them."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.ocpp.link import Endpoint
from agent.trust.wallet import Setup
from simulators.csms.certificates import Authority
from tests.conformance.csms import Csms, Payload
from tests.conformance.rig import Rig

PASSWORD = b"the-first-password"
KEY = "4F43415F4F4354545F61646D696E5F74657374"
ACCEPTED = {"status": "Accepted"}
REJECTED = {"status": "Rejected"}


@dataclass
class Bench:
    """A station whose security is set up, and its authority; change what is not yet started, then ``ready``.

    known: what the configuration says beside address and CA; demands: whether the central system wants certificates.
    """

    rig: Rig
    authority: Authority = field(default_factory=Authority.new)
    known: dict[str, Any] = field(default_factory=dict)

    async def ready(self, profile: int, **keys: object) -> Csms:
        """Start with a security profile, already proven."""
        rig = self.rig
        rig.settings = type(rig.settings)(security_profile=profile, minimum_status_duration_s=0)
        rig.plan.wallet = self.setup
        return await rig.ready(**keys)

    def setup(self, endpoint: Endpoint) -> Setup:
        """What the station's configuration says."""
        return Setup(endpoint, "WB-0001", **self.known)

    def tls(
        self,
        names: Sequence[str] = ("127.0.0.1",),
        life: tuple[datetime, datetime] | None = None,
        *,
        by: Authority | None = None,
        demands: Authority | None = None,
        most: ssl.TLSVersion | None = None,
    ) -> ssl.SSLContext:
        """Return the TLS of a central system; by: who signed; demands: whose certificates stations must have."""
        certificate, key = (by or self.authority).issue(names, life)
        path = self.rig.folder / "server.pem"
        path.write_text(certificate + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if most is not None:
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = most
            context.set_ciphers("ALL:@SECLEVEL=0")
        if demands is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=demands.pem)
        return context

    async def moved(self, tls: ssl.SSLContext | None) -> Csms:
        """Let the central system come back with another TLS, on the same port."""
        await self.rig.csms.down()
        self.rig.csms._tls = tls
        await self.rig.csms.up()
        return self.rig.csms

    async def trusted(self, authority: Authority | None = None) -> Payload:
        """Install a root."""
        return await install(self.rig.csms, (authority or self.authority).pem)

    async def certified(self, sign: Callable[[str], str] | None = None) -> Payload:
        """Have the station ask for a certificate, and send it what is signed."""
        csms = self.rig.csms
        assert await csms.call("ExtendedTriggerMessage", requestedMessage="SignChargePointCertificate") == ACCEPTED
        request = await csms.expect("SignCertificate")
        chain = (sign or self.authority.sign)(request["csr"])
        return await csms.call("CertificateSigned", certificateChain=chain)


async def install(csms: Csms, pem: str, use: str = "CentralSystemRootCertificate") -> Payload:
    """Install a root of a use."""
    return await csms.call("InstallCertificate", certificateType=use, certificate=pem)


async def change(csms: Csms, key: str, value: object) -> str:
    """Change a key, and return the status."""
    return str((await csms.call("ChangeConfiguration", key=key, value=str(value)))["status"])


def sent_password(csms: Csms) -> bytes | None:
    """Return the password of the last handshake."""
    header = csms.handshakes[-1].headers.get("authorization")
    return None if header is None else base64.b64decode(header.removeprefix("Basic ")).partition(b":")[2]


def modes(folder: Path) -> dict[str, int]:
    """Return the files with secrets and their modes."""
    secret = [*folder.glob("*.key"), *folder.glob("authorization_key*"), *folder.glob("security.log*")]
    return {path.name: path.stat().st_mode & 0o777 for path in secret}

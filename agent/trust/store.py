"""Keys, certificates and the password as files of the state directory, each written whole and closed to other users.

They lie beside the ledger, so that a backup takes them along. What cannot be read is left aside and told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import structlog

from agent.buffer.file import synced
from agent.buffer.private_file import put_private
from agent.core.security_model import CertificateUse
from agent.trust.certificate import Certificate, certificates

log = structlog.get_logger(__name__)

PASSWORD: Final = "authorization_key.json"  # noqa: S105  # the name of a file
REQUEST: Final = "station_request.key"
ROOTS: Final = {CertificateUse.CENTRAL_SYSTEM: "root_central_", CertificateUse.MANUFACTURER: "root_manufacturer_"}
OWN: Final = "station_"
NAME_LENGTH: Final = 32
"""Characters of a fingerprint that stand in a file's name."""
KEPT: Final = timedelta(days=31)
"""An own certificate that has a successor is kept so long (whitepaper ed. 3, A02.FR.10)."""


@dataclass(frozen=True, slots=True)
class Own:
    """A certificate of the station's own; chain, key: PEM files."""

    certificate: Certificate
    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Passwords:
    """The central system's password for this station; previous: until the present one has opened a connection."""

    present: bytes | None = field(default=None, repr=False)
    previous: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is stored; own: the one that is valid from the latest moment on last; requested: a key waits for its own."""

    passwords: Passwords = Passwords()
    central: tuple[Certificate, ...] = ()
    manufacturer: tuple[Certificate, ...] = ()
    own: tuple[Own, ...] = ()
    requested: bool = False

    def roots(self, use: CertificateUse) -> tuple[Certificate, ...]:
        """Return the installed roots of a use."""
        return self.central if use is CertificateUse.CENTRAL_SYSTEM else self.manufacturer


class Store:
    """The files; every change raises OSError where the disk does not take it."""

    def __init__(self, state_dir: Path) -> None:
        """Use a state directory; opens nothing."""
        self._folder = state_dir

    def load(self) -> Holdings:
        """Return what is stored."""
        own = sorted(self._own(), key=lambda one: one.certificate.not_before)
        return Holdings(
            passwords=self._passwords(),
            central=tuple(self._roots(CertificateUse.CENTRAL_SYSTEM)),
            manufacturer=tuple(self._roots(CertificateUse.MANUFACTURER)),
            own=tuple(own),
            requested=self.request_key.exists(),
        )

    def put_passwords(self, passwords: Passwords) -> None:
        """Keep the password, and the one before."""
        pair = (("password", passwords.present), ("previous", passwords.previous))
        document = {name: None if value is None else value.hex() for name, value in pair}
        put_private(self._folder / PASSWORD, json.dumps(document).encode())

    def drop_passwords(self) -> None:
        """Forget both."""
        self._unlink(self._folder / PASSWORD)

    def put_root(self, use: CertificateUse, root: Certificate) -> None:
        """Trust a root."""
        put_private(self._root_file(use, root), root.pem.encode())

    def drop_root(self, use: CertificateUse, root: Certificate) -> None:
        """Trust it no longer."""
        self._unlink(self._root_file(use, root))

    def put_request(self, key: str) -> None:
        """Keep the key (PEM) of a request in place of an earlier one."""
        put_private(self._folder / REQUEST, key.encode())

    def drop_request(self) -> None:
        """Forget the key of a request."""
        self._unlink(self._folder / REQUEST)

    @property
    def request_key(self) -> Path:
        """The file of the key that waits for its certificate."""
        return self._folder / REQUEST

    def put_own(self, chain: tuple[Certificate, ...]) -> None:
        """Keep a certificate of the station, with its chain; the key of the request is its own from here on."""
        name = f"{OWN}{chain[0].fingerprint[:NAME_LENGTH]}"
        put_private(self._folder / f"{name}.key", self.request_key.read_bytes())
        put_private(self._folder / f"{name}.pem", "".join(one.pem for one in chain).encode())
        self.drop_request()

    def sweep(self, now: datetime) -> None:
        """Forget own certificates whose successor has been valid for a month."""
        own = self.load().own
        for old, new in pairwise(own):
            if new.certificate.not_before + KEPT < now:
                self._unlink(old.chain)
                self._unlink(old.key)

    def _passwords(self) -> Passwords:
        try:
            document = json.loads((self._folder / PASSWORD).read_bytes())
            values = (document[name] for name in ("password", "previous"))
            return Passwords(*(None if value is None else bytes.fromhex(value) for value in values))
        except FileNotFoundError:
            return Passwords()
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("the kept password cannot be read: that of the file is used", cause=type(error).__name__)
            return Passwords()

    def _roots(self, use: CertificateUse) -> Iterator[Certificate]:
        for path in sorted(self._folder.glob(f"{ROOTS[use]}*.pem")):
            yield from _first(path)

    def _own(self) -> Iterator[Own]:
        for path in sorted(self._folder.glob(f"{OWN}*.pem")):
            key = path.with_suffix(".key")
            if key.exists():
                yield from (Own(certificate, path, key) for certificate in _first(path))

    def _root_file(self, use: CertificateUse, root: Certificate) -> Path:
        return self._folder / f"{ROOTS[use]}{root.fingerprint[:NAME_LENGTH]}.pem"

    def _unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        synced(self._folder)


def _first(path: Path) -> Iterator[Certificate]:
    """Yield the first certificate of a file, none where it cannot be read."""
    try:
        yield certificates(path.read_text("ascii"))[0]
    except (OSError, ValueError) as error:
        log.warning("a certificate cannot be read, and is not used", file=path.name, cause=str(error))

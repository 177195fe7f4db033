"""Firmware on the bench: an installer without slots, and what signs images."""

from __future__ import annotations

import base64
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.errors import InstallFailed
from agent.ports import Interruptible

GOOD = b"GOOD FIRMWARE 2.0.0"
BROKEN = b"BROKEN FIRMWARE"
MUTE = b"MUTE FIRMWARE 3.0.0"


@dataclass
class TestInstaller:
    """Implements ``ports.Installer``: an image says by its words what becomes of it; MUTE never gets to be kept."""

    __test__ = False
    version: str = "1.2.3"
    before: str = "1.2.3"
    installed: list[bytes] = field(default_factory=list)
    waiting: tuple[str, int] | None = None
    on_trial: int | None = None

    def install(self, image: Path, job: int, line: Interruptible) -> str:
        line.check()
        content = image.read_bytes()
        self.installed.append(content)
        if content.startswith(BROKEN):
            raise InstallFailed("it is broken", faulty=True)
        if not content.startswith((GOOD, MUTE)):
            raise InstallFailed("it is no firmware")
        self.waiting = (content.split()[-1].decode(), job)
        return self.waiting[0]

    def start(self) -> None:
        """Take what waits to run, as a launcher does."""
        if self.waiting is not None:
            self.before, (self.version, self.on_trial), self.waiting = self.version, self.waiting, None

    def trial(self) -> int | None:
        return self.on_trial

    def keep(self) -> None:
        self.on_trial = None

    def revert(self) -> None:
        self.version, self.on_trial = self.before, None


@dataclass(frozen=True)
class Maker:
    """A manufacturer: a root, and a certificate that signs images; kind: rsa or ec. Made by OpenSSL."""

    folder: Path
    kind: str = "ec"

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self._make("root.key")
        self._openssl("req", "-x509", "-new", "-key", "root.key", "-out", "root.pem", "-subj", "/O=Maker/CN=Root")
        self._make("signer.key")
        self._openssl("req", "-new", "-key", "signer.key", "-out", "signer.csr", "-subj", "/O=Maker/CN=Signer")
        issued = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "9", "-out", "signer.pem")
        self._openssl("x509", "-req", "-in", "signer.csr", *issued)

    @property
    def root(self) -> bytes:
        return (self.folder / "root.pem").read_bytes()

    @property
    def certificate(self) -> str:
        return (self.folder / "signer.pem").read_text()

    def sign(self, image: bytes, *options: str) -> str:
        """Return the signature over an image, base64."""
        (self.folder / "image").write_bytes(image)
        self._openssl("dgst", "-sha256", *options, "-sign", "signer.key", "-out", "signature", "image")
        return base64.b64encode((self.folder / "signature").read_bytes()).decode()

    def _make(self, name: str) -> None:
        if self.kind == "ec":
            self._openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name)
        else:
            self._openssl("genrsa", "-out", name, "2048")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)  # noqa: S607

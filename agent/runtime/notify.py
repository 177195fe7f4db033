"""Word to systemd: readiness, watchdog and status over ``$NOTIFY_SOCKET`` (sd_notify(3)), without a library."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

SEND_WITHIN_S = 0.5
"""The service manager reads at once; one that hangs must not stop the charger's loop for longer."""
STATUS_LENGTH = 200
EXTENSION_S = 120


@dataclass(frozen=True, slots=True)
class Notifier:
    """Tells the service manager how the process is; without an address every method does nothing.

    address: path of a unix datagram socket, ``@name`` for one in the abstract name space. No method raises:
    a service manager that went away is no reason to stop charging.
    """

    address: str | None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Notifier:
        """Return the notifier that the environment asks for; addresses other than unix sockets count as none."""
        address = environ.get("NOTIFY_SOCKET", "")
        return cls(address if address.startswith(("/", "@")) and len(address) > 1 else None)

    def ready(self) -> bool:
        """Say that the start is done, and which process is the daemon; return whether it was taken."""
        return self._send("READY=1", f"MAINPID={os.getpid()}")

    def extend(self) -> bool:
        """Ask for ``EXTENSION_S`` from now on to start; a process that starts anew has its watchdog running already."""
        return self._send(f"EXTEND_TIMEOUT_USEC={EXTENSION_S * 1_000_000}", "WATCHDOG=1")

    def stopping(self) -> bool:
        """Say that the process ends in order."""
        return self._send("STOPPING=1")

    def watchdog(self) -> bool:
        """Say that the loop is alive."""
        return self._send("WATCHDOG=1")

    def status(self, text: str) -> bool:
        """Show one line in ``systemctl status``."""
        line = "".join(c if c.isprintable() else " " for c in text)
        return self._send(f"STATUS={line[:STATUS_LENGTH]}")

    def _send(self, *lines: str) -> bool:
        if self.address is None:
            return False
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.settimeout(SEND_WITHIN_S)
                out.sendto("\n".join(lines).encode("utf-8", "replace"), address)
        except OSError:
            return False
        return True


def watchdog_interval(environ: Mapping[str, str], pid: int | None = None) -> float | None:
    """Return how often (seconds) to call ``watchdog``: half of what systemd allows; None where it asks for none.

    A limit meant for another process (``WATCHDOG_PID``) or not a positive number counts as none.
    """
    allowed, meant_for = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID")
    if meant_for is not None and meant_for != str(os.getpid() if pid is None else pid):
        return None
    if not (allowed.isascii() and allowed.isdigit()) or int(allowed) == 0:
        return None
    return int(allowed) / 2_000_000

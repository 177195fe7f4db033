"""Word to systemd on real datagram sockets, by path and in the abstract name space."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.runtime.notify import Notifier, watchdog_interval


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, Notifier]]:
    """Return a service manager's socket, and the notifier that its environment variable gives."""
    abstract = f"@wallbox-agent-test-{os.getpid()}"
    name = str(tmp_path / "notify") if request.param == "path" else abstract
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0", 1) if request.param == "abstract" else name)
        listening.settimeout(5)
        yield listening, Notifier.from_environ({"NOTIFY_SOCKET": name})


def test_each_word_is_one_datagram(manager: tuple[socket.socket, Notifier]) -> None:
    listening, notifier = manager
    assert notifier.ready()
    assert notifier.watchdog()
    assert notifier.status("charging on 1\nREADY=0")
    assert notifier.stopping()
    assert listening.recv(1000).decode() == f"READY=1\nMAINPID={os.getpid()}"
    assert listening.recv(1000) == b"WATCHDOG=1"
    assert listening.recv(1000) == b"STATUS=charging on 1 READY=0"
    assert listening.recv(1000) == b"STOPPING=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "@"}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_a_usable_address_nothing_is_said(environ: dict[str, str]) -> None:
    notifier = Notifier.from_environ(environ)
    assert notifier.address is None
    assert not notifier.ready()


def test_a_manager_that_went_away_is_no_failure(tmp_path: Path) -> None:
    assert not Notifier(str(tmp_path / "gone")).watchdog()
    assert not Notifier("/" + "x" * 200).watchdog()


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "7"}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_asked(environ: dict[str, str], interval: float | None) -> None:
    assert watchdog_interval(environ, pid=7) == interval


def test_the_watchdog_of_this_process_is_known_by_its_id() -> None:
    assert watchdog_interval({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}) == 1.0

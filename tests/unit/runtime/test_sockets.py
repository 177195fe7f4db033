"""Where the control socket may be, and that daemon and command line meet there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from agent.cli.client import Connection
from agent.cli.context import CommandFailed
from agent.runtime.control import ControlServer, listen
from agent.runtime.requests import SOCKET
from agent.runtime.sockets import RUN, places


def test_the_socket_is_beside_the_ledger_where_there_can_be_one(tmp_path: Path) -> None:
    assert places(tmp_path, {})[0] == tmp_path / SOCKET
    assert [path.parent for path in places(tmp_path, {})[1:]] == [RUN / "wallbox-agent"]


def test_two_state_directories_never_share_a_socket(tmp_path: Path) -> None:
    one, other = (set(places(tmp_path / name, {"XDG_RUNTIME_DIR": "/run/user/1"})) for name in ("a", "b"))
    assert not one & other


def test_a_path_leads_to_the_same_socket_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "state")
    assert places(tmp_path / "link", {})[1:] == places(tmp_path / "state", {})[1:]


def unasked(*_: object) -> NoReturn:
    pytest.fail("nobody asks for that here")


async def test_daemon_and_command_meet_elsewhere_where_the_state_directory_takes_no_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "run").mkdir()
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    (state_dir / SOCKET).mkdir()  # nothing can take its name
    server = ControlServer(
        state_dir,
        lambda _event: None,
        lambda: {"here": True},
        view=unasked,
        resend=unasked,
        annotate=unasked,
    )
    serving = asyncio.create_task(server.run())
    await server.listening.wait()
    with await asyncio.to_thread(Connection, state_dir) as connection:
        assert await asyncio.to_thread(connection.status) == {"here": True}
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    with pytest.raises(CommandFailed, match="not running"):
        await asyncio.to_thread(Connection, state_dir)


def test_a_socket_that_a_dead_daemon_left_does_not_hide_the_one_that_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    dead = f"import socket; socket.socket(socket.AF_UNIX).bind({str(tmp_path / SOCKET)!r})"
    subprocess.run([sys.executable, "-c", dead], check=True, timeout=8)
    elsewhere = places(tmp_path, {"XDG_RUNTIME_DIR": str(tmp_path)})[1]
    with listen(elsewhere), Connection(tmp_path):
        pass

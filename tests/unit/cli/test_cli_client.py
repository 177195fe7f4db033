"""The command line's end of the control socket against peers that answer well, badly, late or not at all."""

from __future__ import annotations

import contextlib
import grp
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.cli import client
from agent.cli.client import Connection, ask, no_permission
from agent.cli.context import CommandFailed

NOBODY = 65534


@contextlib.contextmanager
def peer(state_dir: Path, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    """Serve one connection on the control socket with ``answer``."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(state_dir / "control.sock"))
        listening.listen()
        listening.settimeout(5)

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            thread.join()


def answering(line: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(line)

    return answer


def refusal(state_dir: Path) -> CommandFailed:
    with pytest.raises(CommandFailed) as failed:
        ask(state_dir, {"command": "status"})
    assert len(failed.value.lines) == 1
    return failed.value


def test_the_result_of_a_good_answer_is_returned(tmp_path: Path) -> None:
    asked: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        asked.append(connection.recv(1000))
        connection.sendall(b'{"ok": true, "result": [1, ')
        connection.sendall(b'"\\u00fc"]}\n')

    with peer(tmp_path, answer):
        assert ask(tmp_path, {"command": "link", "code": "ACME-7F3K"}) == [1, "ü"]
    assert asked == [b'{"command": "link", "code": "ACME-7F3K"}\n']


@pytest.mark.parametrize("status", [1, 2])
def test_a_refusal_has_the_words_and_the_status_of_the_daemon(tmp_path: Path, status: int) -> None:
    line = b'{"ok": false, "error": "no such card", "exit": %d}\n' % status
    with peer(tmp_path, answering(line)):
        failed = refusal(tmp_path)
    assert (failed.lines, failed.status) == (("no such card",), status)


@pytest.mark.parametrize("line", [b"", b"\n", b"hello\n", b"[1]\n", b'{"ok": tru'])
def test_nonsense_is_told_as_such(tmp_path: Path, line: bytes) -> None:
    with peer(tmp_path, answering(line)):
        failed = refusal(tmp_path)
    assert failed.status == 1
    assert "without an answer: look at `journalctl -u wallbox-agent`" in failed.lines[0]


def test_a_peer_that_hangs_up_before_it_reads_is_no_broken_output(tmp_path: Path) -> None:
    with peer(tmp_path, lambda connection: connection.close()):
        assert refusal(tmp_path).status == 1


def test_a_daemon_that_is_late_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_WITHIN_S", 0.05)
    asked = threading.Event()

    def hang(connection: socket.socket) -> None:
        connection.recv(1000)
        asked.wait(5)

    with peer(tmp_path, hang):
        failed = refusal(tmp_path)
        asked.set()
    assert failed.lines == ("the agent does not answer within 0.05 s: look at `journalctl -u wallbox-agent`",)


def test_without_a_daemon_the_status_is_3_and_the_way_to_start_it_is_told(tmp_path: Path) -> None:
    words = ("the agent is not running: start it with `systemctl start wallbox-agent`, or `wallbox-agent run`",)
    for state_dir in (tmp_path, tmp_path / "missing"):
        failed = refusal(state_dir)
        assert (failed.lines, failed.status) == (words, 3)


def test_the_socket_of_a_dead_daemon_counts_as_none(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))
    assert refusal(tmp_path).status == 3


def test_a_path_too_long_for_a_socket_is_told(tmp_path: Path) -> None:
    failed = refusal(tmp_path / ("d" * 120))
    assert failed.status == 1
    assert "check station.state_dir" in failed.lines[0]


def as_nobody(state_dir: Path) -> str:
    """Return what a user without any right is told; a process of its own becomes that user."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            ask(state_dir, {})
        except CommandFailed as failed:
            os.write(writing, f"{failed.status} {failed}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as told:
        return told.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to become another user")
def test_without_permission_the_group_to_join_is_told() -> None:
    group = next(g for g in grp.getgrall() if g.gr_gid not in {0, NOBODY})
    with tempfile.TemporaryDirectory() as above, socket.socket(socket.AF_UNIX) as listening:
        Path(above).chmod(0o755)
        state_dir = Path(above, "state")
        state_dir.mkdir(mode=0o750)
        os.chown(state_dir, 0, group.gr_gid)
        listening.bind(str(state_dir / "control.sock"))
        listening.listen()
        assert as_nobody(state_dir) == (
            f"1 no permission for {state_dir}, which is open to group {group.gr_name} only: run the command with sudo, "
            f"or join the group with `sudo usermod -aG {group.gr_name} $USER` and log in again"
        )


def test_a_directory_closed_to_its_group_is_for_sudo_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert no_permission(tmp_path) == f"no permission for {tmp_path}: run the command with sudo"


def test_a_directory_of_root_is_for_sudo_alone() -> None:
    assert no_permission(Path("/")) == "no permission for /: run the command with sudo"
    assert no_permission(Path("/no/such/directory")).endswith("run the command with sudo")


# ---- several requests on one connection ------------------------------------------------------------------------------


def test_requests_on_one_connection_are_answered_one_by_one(tmp_path: Path) -> None:
    def answer(connection: socket.socket) -> None:
        for number in (1, 2):
            connection.recv(1000)
            connection.sendall(b'{"ok": true, "result": {"number": %d}}\n' % number)

    with peer(tmp_path, answer), Connection(tmp_path) as connection:
        assert connection.status() == {"number": 1}
        assert connection.ask({"command": "status"}) == {"number": 2}
        connection.pause(5)  # the peer hangs up, so this does not last
        with pytest.raises(CommandFailed, match="without an answer"):
            connection.status()
        connection.close()


def test_a_status_that_is_no_document_is_of_another_release(tmp_path: Path) -> None:
    with (
        peer(tmp_path, answering(b'{"ok": true, "result": []}\n')),
        Connection(tmp_path) as connection,
        pytest.raises(CommandFailed, match="it is of another release than this command; restart it"),
    ):
        connection.status()

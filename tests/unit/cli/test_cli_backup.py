"""``backup`` and ``restore``: what they print, what they refuse, and that a refusal touches nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.runtime.possession import acquire
from tests.unit.cli.installed import Station


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "b.zip"


def content(state_dir: Path) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in state_dir.iterdir() if path.name != "lock"}
    return {name: text for name, text in found.items() if text and not name.endswith("-shm")}


def test_a_backup_says_what_is_in_it(with_ledger: Station, file: Path) -> None:
    (with_ledger.state_dir / "signing_key.pem").write_text("secret")
    status, out, err = with_ledger.call("backup", str(file))
    assert (status, err) == (0, "")
    assert f"{file}: 2 sessions" in out
    assert "signing key is in it" in out
    told = with_ledger.json("backup", str(file))
    assert (told["sessions"], told["signing_key"], told["station"]) == (2, True, "NL-ACME-000123")
    assert told["size_bytes"] == file.stat().st_size


def test_a_restore_says_what_it_did(with_ledger: Station, file: Path) -> None:
    with_ledger.call("backup", str(file))
    told = with_ledger.json("restore", str(file))
    assert (told["restored"], told["kept"], told["sessions"]) == (0, 0, 2)
    for path in with_ledger.state_dir.glob("ledger*"):
        path.unlink()
    status, out, err = with_ledger.call("restore", str(file))
    assert (status, err) == (0, "")
    assert "2 sessions put back" in out
    assert "systemctl start" in out


def test_a_restore_while_the_agent_runs_is_refused(with_ledger: Station, file: Path) -> None:
    with_ledger.call("backup", str(file))
    before = content(with_ledger.state_dir)
    with acquire(with_ledger.state_dir):
        assert "stop the agent first with `systemctl stop wallbox-agent`" in with_ledger.refusal("restore", str(file))
    assert content(with_ledger.state_dir) == before


def test_a_backup_of_another_station_is_refused(with_ledger: Station, file: Path) -> None:
    with_ledger.call("backup", str(file))
    text = with_ledger.path.read_text().replace("NL-ACME-000123", "NL-ACME-000999")
    with_ledger.path.write_text(text)
    before = content(with_ledger.state_dir)
    assert "a backup of station NL-ACME-000123, and this is NL-ACME-000999" in with_ledger.refusal("restore", str(file))
    assert content(with_ledger.state_dir) == before


def test_a_state_directory_of_another_station_is_refused(with_ledger: Station, file: Path) -> None:
    with_ledger.call("backup", str(file))
    (with_ledger.state_dir / "station").write_text("NL-OTHER\n")
    assert "belongs to station NL-OTHER" in with_ledger.refusal("restore", str(file))


def test_files_that_are_none_are_refused(with_ledger: Station, file: Path, tmp_path: Path) -> None:
    assert "No such file" in with_ledger.refusal("restore", str(file))
    file.write_bytes(b"hello")
    assert "is damaged, or no backup" in with_ledger.refusal("restore", str(file))
    assert "cannot be written" in with_ledger.refusal("backup", str(tmp_path / "nowhere" / "b.zip"))
    assert "another place" in with_ledger.refusal("backup", str(with_ledger.state_dir / "b.zip"))


def test_without_a_ledger_there_is_nothing_to_back_up(stopped: Station, file: Path) -> None:
    assert "start the service once" in stopped.refusal("backup", str(file))
    assert not file.exists()


def test_a_state_directory_that_is_not_there_is_no_fault_of_the_backup_s(stopped: Station, file: Path) -> None:
    moved = stopped.path.read_text().replace(f"{stopped.state_dir}", f"{file.parent / 'nowhere'}")
    stopped.path.write_text(moved)
    assert f"there is no ledger in {file.parent / 'nowhere'} yet" in stopped.refusal("backup", str(file))
    assert not file.exists()


def test_what_root_puts_back_belongs_to_the_directory_s_owner(with_ledger: Station, file: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files to others")
    with_ledger.call("backup", str(file))
    os.chown(with_ledger.state_dir, 65534, 65534)
    with_ledger.call("restore", str(file))
    owners = {path.stat().st_uid for path in with_ledger.state_dir.iterdir()}
    assert owners == {65534}

"""Firmware updates and log uploads in the core: what a restart finds, what comes late, what is asked for meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.core import firmware, uploads
from agent.core.commands import CallRef, Reset, ResetKind, Result
from agent.core.effects import Answer, Restart
from agent.core.events import ClockStepped, CommandReceived
from agent.core.facts import FirmwareStatus, FirmwareTold, LogStatus, LogTold
from agent.core.locations import parse, supported
from agent.core.maintenance_commands import LogKind, Retries, Signing, UpdateFirmware, UploadLog
from agent.core.maintenance_effects import (
    CheckCertificate,
    FetchFirmware,
    InstallFirmware,
    KeepFirmware,
    RevertFirmware,
    SendLog,
)
from agent.core.maintenance_events import (
    CertificateChecked,
    FirmwareFetched,
    FirmwareInstalled,
    LogUploaded,
    SignatureChecked,
)
from agent.core.maintenance_state import Stage
from agent.core.turn import Turn
from tests.unit.core.charger import NOON, Charger

CALL = CallRef("cloud", "1")
NONE, TWICE = Retries(0, 0), Retries(1, 60)
PLAIN = UpdateFirmware("http://h/f", NOON - timedelta(days=1), NONE)
SIGNED = replace(PLAIN, signing=Signing(7, "pem", "sig"))
LOG = UploadLog(LogKind.DIAGNOSTICS, "http://h/in", TWICE)


@pytest.fixture
def charger() -> Charger:
    made = Charger()
    made.policy = replace(made.policy, updatable=True)
    made.online()
    made.run(2)
    return made


def told(charger: Charger) -> list[FirmwareStatus]:
    return [fact.status for fact in charger.all(FirmwareTold)]


def stage(charger: Charger) -> Stage | None:
    job = charger.state.maintenance.jobs.firmware
    return None if job is None else job.stage


def restarted(charger: Charger, trial: int | None) -> None:
    charger.policy = replace(charger.policy, trial=trial)
    charger.crash()
    charger.online()


def installing(charger: Charger) -> int:
    """Bring an update to its installation; returns its number."""
    charger.command(PLAIN)
    number = charger.last(FetchFirmware).job
    charger.do(FirmwareFetched(number, whole=True))
    assert charger.last(InstallFirmware).job == number
    return number


def test_an_installation_that_a_power_cut_interrupts_has_failed(charger: Charger) -> None:
    installing(charger)
    restarted(charger, None)
    assert told(charger)[-1] is FirmwareStatus.INSTALLATION_FAILED
    assert stage(charger) is None


def test_new_firmware_is_proven_although_its_installation_was_never_committed(charger: Charger) -> None:
    number = installing(charger)
    restarted(charger, number)
    assert told(charger)[-1] is FirmwareStatus.INSTALLED
    assert charger.all(KeepFirmware)


def test_firmware_on_trial_without_an_update_is_kept_once_it_is_accepted(charger: Charger) -> None:
    restarted(charger, 99)
    assert len(charger.all(KeepFirmware)) == 1
    assert told(charger) == []
    charger.offline()
    charger.online()
    assert len(charger.all(KeepFirmware)) == 1


def test_firmware_that_nobody_accepts_is_reverted_although_a_session_runs(charger: Charger) -> None:
    number = installing(charger)
    charger.do(FirmwareInstalled(number, "2.0"))
    assert charger.last(Restart)
    charger.policy = replace(charger.policy, trial=number)
    charger.crash()
    charger.run(firmware.TRIAL_S + 1)
    assert len(charger.all(RevertFirmware)) == 1
    assert len(charger.all(Restart)) == 2
    assert charger.command(PLAIN).result is Result.REJECTED


def test_nothing_new_is_ordered_and_no_reset_taken_while_firmware_is_installed(charger: Charger) -> None:
    installing(charger)
    assert charger.command(PLAIN).result is Result.REJECTED
    assert charger.command(Reset(ResetKind.SOFT)).result is Result.REJECTED


def test_what_comes_of_a_replaced_update_counts_for_nothing(charger: Charger) -> None:
    charger.command(PLAIN)
    old = charger.last(FetchFirmware).job
    charger.command(PLAIN)
    charger.do(FirmwareFetched(old, whole=True))
    charger.do(SignatureChecked(old, genuine=True))
    charger.do(FirmwareInstalled(old, "2.0"))
    assert stage(charger) is Stage.DOWNLOADING


def test_a_certificate_is_looked_at_before_the_answer(charger: Charger) -> None:
    charger.do(CommandReceived(CALL, SIGNED))
    assert not charger.all(Answer)
    assert charger.last(CheckCertificate).order == SIGNED
    charger.do(CertificateChecked(CALL, SIGNED, trusted=False))
    assert charger.last(Answer).outcome.result is Result.INVALID_CERTIFICATE
    assert stage(charger) is None


def test_a_certificate_that_was_looked_at_too_late_is_refused(charger: Charger) -> None:
    installing(charger)
    charger.do(CertificateChecked(CALL, SIGNED, trusted=True))
    assert charger.last(Answer).outcome.result is Result.REJECTED
    assert stage(charger) is Stage.INSTALLING


def test_a_clock_that_is_set_moves_what_waits_for_a_time(charger: Charger) -> None:
    charger.command(replace(PLAIN, retrieve_at=charger.at.wall + timedelta(hours=5)))
    assert charger.state.maintenance.firmware_due == pytest.approx(charger.at.mono + 5 * 3600)
    charger.wall += timedelta(hours=4)
    charger.do(ClockStepped())
    assert charger.state.maintenance.firmware_due == pytest.approx(charger.at.mono + 3600)
    charger.wall += timedelta(hours=2)
    charger.do(ClockStepped())
    assert stage(charger) is Stage.DOWNLOADING


def test_a_download_goes_on_after_a_restart_and_is_not_told_again(charger: Charger) -> None:
    charger.command(PLAIN)
    charger.crash()
    assert len(charger.all(FetchFirmware)) == 2
    assert told(charger) == [FirmwareStatus.DOWNLOADING]


def test_a_station_without_installer_takes_no_update(charger: Charger) -> None:
    charger.policy = replace(charger.policy, updatable=False)
    assert charger.command(PLAIN).result is Result.NOT_SUPPORTED


def test_the_last_status_is_told_to_who_asks(charger: Charger) -> None:
    def current(*, signed: bool) -> tuple[FirmwareStatus, int | None]:
        found = firmware.current(Turn(charger.state, charger.at, charger.policy), signed=signed)
        return found.status, found.request

    idle = (FirmwareStatus.IDLE, None)
    assert current(signed=True) == current(signed=False) == idle
    charger.do(CertificateChecked(CALL, SIGNED, trusted=True))
    assert (current(signed=True), current(signed=False)) == ((FirmwareStatus.DOWNLOADING, 7), idle)
    charger.do(FirmwareFetched(charger.last(FetchFirmware).job, whole=False))
    assert current(signed=True) == (FirmwareStatus.DOWNLOAD_FAILED, 7)
    charger.command(PLAIN)
    assert (current(signed=True), current(signed=False)) == (idle, (FirmwareStatus.DOWNLOADING, None))


def test_an_upload_is_made_anew_after_a_restart(charger: Charger) -> None:
    name = charger.command(LOG).file
    charger.crash()
    assert [sent.name for sent in charger.all(SendLog)] == [name, name]
    charger.do(LogUploaded(charger.last(SendLog).job, LogStatus.UPLOADED))
    assert [fact.status for fact in charger.all(LogTold)] == [LogStatus.UPLOADING, LogStatus.UPLOADED]
    turn = Turn(charger.state, charger.at, charger.policy)
    assert uploads.current(turn, signed=False).status is LogStatus.IDLE


def test_an_upload_waits_between_its_tries(charger: Charger) -> None:
    charger.command(LOG)
    charger.do(LogUploaded(charger.last(SendLog).job, LogStatus.UPLOAD_FAILURE))
    charger.run(58)
    assert len(charger.all(SendLog)) == 1
    charger.run(4)
    assert len(charger.all(SendLog)) == 2
    charger.do(LogUploaded(charger.last(SendLog).job, LogStatus.PERMISSION_DENIED))
    assert charger.last(LogTold).status is LogStatus.PERMISSION_DENIED


def test_there_is_nothing_in_a_time_that_ends_before_it_begins(charger: Charger) -> None:
    reversed_ = replace(LOG, since=NOON - timedelta(hours=1), until=NOON - timedelta(hours=2))
    outcome = charger.command(reversed_)
    assert (outcome.result, outcome.file) == (Result.REJECTED, None)


@pytest.mark.parametrize(
    "url",
    ["sftp://h/x", "file:///etc/passwd", "http://", "http://h:0/", "http://h:99999/", "ftp://u%0d%0aQUIT@h/", "http:h",
     "http://h/a b", "http://h\\@evil/", "x" * 3000, ""],
)  # fmt: skip
def test_a_url_that_is_none_of_ours_is_refused(url: str) -> None:
    assert not supported(url)


def test_a_url_is_shown_without_what_may_be_secret() -> None:
    location = parse("HTTP://user:pa%40ss@Host.example:8080/a/ü?key=1")
    assert (location.user, location.password, location.target) == ("user", "pa@ss", "/a/%C3%BC?key=1")
    assert location.shown == "http://host.example:8080/a/%C3%BC?…"
    assert "pa@ss" not in repr(location)
    assert location.within("f 1.zip").path == "/a/%C3%BC/f%201.zip"

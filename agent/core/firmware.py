"""Firmware updates: fetched, verified, installed once nobody charges, and proven by the new firmware's accepted boot.

Source: OCPP 1.6 ed. 2, sections 4.5 and 5.19; Improved security for OCPP 1.6-J, ed. 3, use case L01; ADR 25.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Final

from agent.core import security
from agent.core.commands import CallRef, Outcome, ResetKind, Result
from agent.core.deferral import after
from agent.core.effects import Answer, Restart
from agent.core.facts import FirmwareStatus, FirmwareTold
from agent.core.maintenance_commands import UpdateFirmware
from agent.core.maintenance_effects import (
    CheckCertificate,
    CheckSignature,
    DropFirmware,
    FetchFirmware,
    InstallFirmware,
    KeepFirmware,
    RevertFirmware,
)
from agent.core.maintenance_events import CertificateChecked, FirmwareFetched, FirmwareInstalled, SignatureChecked
from agent.core.maintenance_state import COMMITTED, FirmwareJob, FirmwareNews, Jobs, Stage
from agent.core.security_model import SecurityEventKind
from agent.core.turn import Turn

TRIAL_S: Final = 900.0
"""So long new firmware has to be accepted by the central system, before the one before it takes its place again."""
BUSY: Final = "firmware is being installed, which cannot be called off"
NO_INSTALLER: Final = "this station is not set up to install firmware by itself"


def order(turn: Turn, call: CallRef, command: UpdateFirmware) -> Outcome | None:
    """Take an order; None: its certificate has to be looked at first, and the answer follows."""
    if not turn.policy.updatable:
        return Outcome(command, Result.NOT_SUPPORTED, NO_INSTALLER)
    if _committed(turn):
        return Outcome(command, Result.REJECTED, BUSY)
    if command.signing is not None:
        turn.effects.append(CheckCertificate(call, command))
        return None
    _begin(turn, command)
    return Outcome(command, Result.ACCEPTED)


def certificate_checked(turn: Turn, event: CertificateChecked) -> None:
    """Answer an order whose certificate was looked at, and begin where it may be trusted (L01.FR.01, .02, .26)."""
    place = len(turn.effects)
    if _committed(turn):
        outcome = Outcome(event.order, Result.REJECTED, BUSY)
    elif not event.trusted:
        outcome = Outcome(event.order, Result.INVALID_CERTIFICATE)
        security.raise_event(turn, SecurityEventKind.INVALID_SIGNING_CERTIFICATE)
    else:
        result = Result.ACCEPTED if turn.state.maintenance.jobs.firmware is None else Result.ACCEPTED_CANCELED
        outcome = Outcome(event.order, result)
        _begin(turn, event.order)
    turn.effects.insert(place, Answer(event.call, outcome))


def fetched(turn: Turn, event: FirmwareFetched) -> None:
    """Go on with an image that is there; one that is not is tried again, as often as the order says."""
    job = _job(turn, event.job, Stage.DOWNLOADING)
    if job is None:
        return
    if not event.whole:
        _retry(turn, replace(job, failures=job.failures + 1))
        return
    _tell(turn, job, FirmwareStatus.DOWNLOADED)
    if job.order.signing is None:
        _drain(turn, job)
    else:
        _put(turn, replace(job, stage=Stage.VERIFYING))
        turn.effects.append(CheckSignature(job.number, job.order.signing))


def signature_checked(turn: Turn, event: SignatureChecked) -> None:
    """Go on with an image that is what its signature says, when it may be installed (L01.FR.03, .06)."""
    job = _job(turn, event.job, Stage.VERIFYING)
    if job is None:
        return
    if not event.genuine:
        _end(turn, job, FirmwareStatus.INVALID_SIGNATURE)
        security.raise_event(turn, SecurityEventKind.INVALID_FIRMWARE_SIGNATURE)
        return
    _tell(turn, job, FirmwareStatus.SIGNATURE_VERIFIED)
    install_at = None if job.order.signing is None else job.order.signing.install_at
    if install_at is not None and install_at > turn.at.wall:
        _tell(turn, job, FirmwareStatus.INSTALL_SCHEDULED)
        _put(turn, replace(job, stage=Stage.INSTALL_SCHEDULED), after(turn.at, install_at))
    else:
        _drain(turn, job)


def installed(turn: Turn, event: FirmwareInstalled) -> None:
    """Start anew with what was installed; what could not be leaves everything as it was."""
    job = _job(turn, event.job, Stage.INSTALLING)
    if job is None:
        return
    if event.version is None:
        verdict = FirmwareStatus.INSTALL_VERIFICATION_FAILED if event.faulty else FirmwareStatus.INSTALLATION_FAILED
        _end(turn, job, verdict)
        return
    _tell(turn, job, FirmwareStatus.INSTALL_REBOOTING)
    _put(turn, replace(job, stage=Stage.TRIAL))
    _restart(turn)


def recover(turn: Turn) -> None:
    """Take up an update after a start: the new firmware has to prove itself, or is gone again."""
    job, trial = turn.state.maintenance.jobs.firmware, turn.policy.trial
    if trial is not None:
        turn.state = replace(
            turn.state, maintenance=replace(turn.state.maintenance, firmware_due=turn.at.mono + TRIAL_S)
        )
        if job is not None and job.number == trial:
            _put(turn, replace(job, stage=Stage.TRIAL), turn.at.mono + TRIAL_S)
    elif job is not None and job.stage in COMMITTED:
        _end(turn, job, FirmwareStatus.INSTALLATION_FAILED)
    elif job is not None:
        _resume(turn, job)


def accepted_boot(turn: Turn) -> None:
    """Keep firmware whose boot the central system accepted."""
    maintenance = turn.state.maintenance
    if turn.policy.trial is None or maintenance.proven:
        return
    turn.state = replace(turn.state, maintenance=replace(maintenance, proven=True, firmware_due=None))
    turn.effects.append(KeepFirmware())
    job = maintenance.jobs.firmware
    if job is not None and job.stage is Stage.TRIAL:
        _end(turn, job, FirmwareStatus.INSTALLED)
        security.raise_event(turn, SecurityEventKind.FIRMWARE_UPDATED, turn.policy.version)


def clock_stepped(turn: Turn) -> None:
    """Plan anew what waits for a time of the wall clock."""
    job = turn.state.maintenance.jobs.firmware
    if job is not None and job.stage in {Stage.SCHEDULED, Stage.INSTALL_SCHEDULED}:
        _resume(turn, job)


def due(turn: Turn) -> None:
    """Do what the clock alone has made due."""
    maintenance, job = turn.state.maintenance, turn.state.maintenance.jobs.firmware
    if maintenance.firmware_due is None or turn.at.mono < maintenance.firmware_due:
        return
    turn.state = replace(turn.state, maintenance=replace(maintenance, firmware_due=None))
    if turn.policy.trial is not None and not maintenance.proven:
        turn.effects.append(RevertFirmware())
        _restart(turn)
    elif job is not None and job.stage is Stage.INSTALL_SCHEDULED:
        _drain(turn, job)
    elif job is not None and job.stage is Stage.DOWNLOADING:
        turn.effects.append(FetchFirmware(job.number, job.order.location))
    elif job is not None:
        _download(turn, job)


def settle(turn: Turn) -> None:
    """Install once no session runs any more, nor ends; at a reset it is the next start's affair."""
    job = turn.state.maintenance.jobs.firmware
    if job is None or job.stage is not Stage.DRAINING or turn.state.restarting is not None:
        return
    if all(evse.session is None for evse in turn.state.evses):
        _tell(turn, job, FirmwareStatus.INSTALLING)
        _put(turn, replace(job, stage=Stage.INSTALLING))
        turn.effects.append(InstallFirmware(job.number))


def current(turn: Turn, *, signed: bool) -> FirmwareTold:
    """Return how the last update stands, for who asks: Idle where nothing runs (5.17; L01.FR.20, .25)."""
    jobs = turn.state.maintenance.jobs
    told = jobs.told if jobs.firmware is not None or signed else None
    if told is None or told.status is FirmwareStatus.INSTALLED or (told.request is None) is signed:
        return FirmwareTold(FirmwareStatus.IDLE, signed, None, turn.at)
    return FirmwareTold(told.status, signed, told.request, turn.at)


def _begin(turn: Turn, command: UpdateFirmware) -> None:
    """Begin an order, in place of one that runs: what was fetched for that one is of no use."""
    maintenance = turn.state.maintenance
    number = maintenance.jobs.count + 1
    jobs = replace(maintenance.jobs, count=number)
    turn.state = replace(turn.state, maintenance=replace(maintenance, jobs=jobs))
    turn.effects.append(DropFirmware())
    job = FirmwareJob(number, command, Stage.SCHEDULED)
    if command.retrieve_at > turn.at.wall:
        _tell(turn, job, FirmwareStatus.DOWNLOAD_SCHEDULED)
        _put(turn, job, after(turn.at, command.retrieve_at))
    else:
        _download(turn, job)


def _download(turn: Turn, job: FirmwareJob) -> None:
    _tell(turn, job, FirmwareStatus.DOWNLOADING)
    _put(turn, replace(job, stage=Stage.DOWNLOADING))
    turn.effects.append(FetchFirmware(job.number, job.order.location))


def _retry(turn: Turn, job: FirmwareJob) -> None:
    if job.failures > job.order.retries.count:
        _end(turn, job, FirmwareStatus.DOWNLOAD_FAILED)
    else:
        _put(turn, job, turn.at.mono + job.order.retries.interval_s)


def _drain(turn: Turn, job: FirmwareJob) -> None:
    """Let nobody begin any more: who has not plugged in yet is forgotten (section 5.19, errata 3.49)."""
    _put(turn, replace(job, stage=Stage.DRAINING))
    turn.state = replace(turn.state, waiting=(), asking=())
    for evse in turn.state.evses:
        turn.put(replace(turn.state.evse(evse.id), grant=None))


def _resume(turn: Turn, job: FirmwareJob) -> None:
    """Go on with an order where it stands."""
    signing = job.order.signing
    match job.stage:
        case Stage.SCHEDULED:
            _put(turn, job, after(turn.at, job.order.retrieve_at))
        case Stage.INSTALL_SCHEDULED if signing is not None and signing.install_at is not None:
            _put(turn, job, after(turn.at, signing.install_at))
        case Stage.DOWNLOADING:
            turn.effects.append(FetchFirmware(job.number, job.order.location))
        case Stage.VERIFYING if signing is not None:
            turn.effects.append(CheckSignature(job.number, signing))


def _restart(turn: Turn) -> None:
    """Start again at once; a session that runs goes on in the next run of the process, and none begins in this one."""
    turn.state = replace(turn.state, restarting=ResetKind.SOFT, restart_by=inf)
    turn.effects.append(Restart(hard=False))


def _job(turn: Turn, number: int, stage: Stage) -> FirmwareJob | None:
    """Return the job that something came of, None for one that was replaced."""
    job = turn.state.maintenance.jobs.firmware
    return job if job is not None and job.number == number and job.stage is stage else None


def _committed(turn: Turn) -> bool:
    job = turn.state.maintenance.jobs.firmware
    untried = turn.policy.trial is not None and not turn.state.maintenance.proven
    return untried or (job is not None and job.stage in COMMITTED)


def _put(turn: Turn, job: FirmwareJob | None, firmware_due: float | None = None) -> None:
    maintenance = turn.state.maintenance
    jobs: Jobs = maintenance.jobs if job is maintenance.jobs.firmware else replace(maintenance.jobs, firmware=job)
    turn.state = replace(turn.state, maintenance=replace(maintenance, jobs=jobs, firmware_due=firmware_due))


def _end(turn: Turn, job: FirmwareJob, status: FirmwareStatus) -> None:
    _tell(turn, job, status)
    _put(turn, None)
    turn.effects.append(DropFirmware())


#: Statuses that the messages of a plain update do not have -> what they have instead; None: nothing (section 7.25).
PLAIN: Final[Mapping[FirmwareStatus, FirmwareStatus | None]] = {
    FirmwareStatus.DOWNLOAD_SCHEDULED: None,
    FirmwareStatus.INSTALL_REBOOTING: None,
    FirmwareStatus.INSTALL_VERIFICATION_FAILED: FirmwareStatus.INSTALLATION_FAILED,
}


def _tell(turn: Turn, job: FirmwareJob, status: FirmwareStatus) -> None:
    signing = job.order.signing
    told = status if signing is not None else PLAIN.get(status, status)
    if told is None:
        return
    request = None if signing is None else signing.request
    turn.facts.append(FirmwareTold(told, signing is not None, request, turn.at))
    jobs = replace(turn.state.maintenance.jobs, told=FirmwareNews(told, request))
    turn.state = replace(turn.state, maintenance=replace(turn.state.maintenance, jobs=jobs))

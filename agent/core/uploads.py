"""Logs that are uploaded: one at a time, each tried as often as was asked for, and told of step by step.

Source: OCPP 1.6 ed. 2, sections 4.4 and 5.9; Improved security for OCPP 1.6-J, ed. 3, use case N01.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from agent.core.commands import Outcome, Result
from agent.core.facts import LogStatus, LogTold
from agent.core.maintenance_commands import LogKind, UploadLog
from agent.core.maintenance_effects import SendLog
from agent.core.maintenance_events import LogUploaded
from agent.core.maintenance_state import UploadJob
from agent.core.turn import Turn

ENDINGS: Final = {LogKind.DIAGNOSTICS: "zip", LogKind.SECURITY: "log"}
NOTHING: Final = "there is nothing in this time"


def order(turn: Turn, command: UploadLog) -> Outcome:
    """Take an order, in place of one that runs; ``Outcome.file`` is the name that the file will have."""
    since, until = command.since, command.until
    if since is not None and (since > turn.at.wall or (until is not None and until < since)):
        return Outcome(command, Result.REJECTED, NOTHING)
    before = turn.state.maintenance.jobs.upload
    if before is not None:
        _tell(turn, before, LogStatus.UPLOAD_FAILURE)
    number = turn.state.maintenance.jobs.count + 1
    name = f"{command.kind}-{turn.at.wall:%Y%m%dT%H%M%SZ}-{number}.{ENDINGS[command.kind]}"
    job = UploadJob(number, command, name)
    jobs = replace(turn.state.maintenance.jobs, count=number)
    turn.state = replace(turn.state, maintenance=replace(turn.state.maintenance, jobs=jobs))
    _tell(turn, job, LogStatus.UPLOADING)
    _send(turn, job)
    return Outcome(command, Result.ACCEPTED if before is None else Result.ACCEPTED_CANCELED, file=name)


def uploaded(turn: Turn, event: LogUploaded) -> None:
    """Take what came of a try; one that failed is followed by another while there are any left."""
    job = turn.state.maintenance.jobs.upload
    if job is None or job.number != event.job:
        return
    failures = job.failures + (event.status is not LogStatus.UPLOADED)
    if failures == job.failures or failures > job.order.retries.count:
        _tell(turn, job, event.status)
        _put(turn, None)
    else:
        _put(turn, replace(job, failures=failures), turn.at.mono + job.order.retries.interval_s)


def due(turn: Turn) -> None:
    """Try again what has waited long enough."""
    maintenance = turn.state.maintenance
    if maintenance.upload_due is not None and turn.at.mono >= maintenance.upload_due:
        recover(turn)


def recover(turn: Turn) -> None:
    """Take up an upload after a start: it is made anew."""
    job = turn.state.maintenance.jobs.upload
    if job is not None:
        _send(turn, job)


def current(turn: Turn, *, signed: bool) -> LogTold:
    """Return how the upload that runs stands, for who asks: Idle where there is none that is told in these words."""
    job = turn.state.maintenance.jobs.upload
    if job is None or (job.order.request is None) is signed:
        return LogTold(LogStatus.IDLE, signed, None, turn.at)
    return LogTold(LogStatus.UPLOADING, signed, job.order.request, turn.at)


def _send(turn: Turn, job: UploadJob) -> None:
    _put(turn, job)
    turn.effects.append(SendLog(job.number, job.order, job.name))


def _put(turn: Turn, job: UploadJob | None, upload_due: float | None = None) -> None:
    maintenance = turn.state.maintenance
    jobs = maintenance.jobs if job is maintenance.jobs.upload else replace(maintenance.jobs, upload=job)
    turn.state = replace(turn.state, maintenance=replace(maintenance, jobs=jobs, upload_due=upload_due))


def _tell(turn: Turn, job: UploadJob, status: LogStatus) -> None:
    request = job.order.request
    turn.facts.append(LogTold(status, request is not None, request, turn.at))

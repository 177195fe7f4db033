"""Readings: which are plausible, which are due, and what is measured while nobody charges.

Source: the rules for MID meters (billing register, monotone, bounded rise); OCPP 1.6 ed. 2, section 3.16.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final

from agent.core.instant import Instant, TimeStatus
from agent.core.model import Quality, Reading, Wh
from agent.core.policy import EvsePolicy
from agent.core.state import MeterView

DOUBTS_ALLOWED: Final = 3
"""So many implausible samples in a row are dropped before the register itself is taken for faulty."""
RISE_WINDOW_S: Final = Decimal(10)
"""A rise is judged over at least this time, since coarse counters move in steps."""
DISTRUST_S: Final = 10.0
"""So long a meter whose register broke is shown as faulty."""
CLOCKLESS_GAP_S: Final = 86_400.0
"""At least so much time may have passed between two starts of a machine that did not know the time."""
SILENT: Final = "the meter has not answered yet"
DRAWING_A: Final = Decimal(1)
DRAWING_W: Final = Decimal(230)
"""More than the stand-by of a wallbox, less than any car draws."""
DRAWING_SAMPLES: Final = 3
IDLE_S: Final = 300.0
"""A car may pause so long and counts as drawing still; for stations that see it by the meter alone."""


CURRENTS: Final = ("current_l1", "current_l2", "current_l3")
POWER: Final = "power_total"


class Judgement(StrEnum):
    """What a sample is good for."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    BACKWARD = "backward"
    IMPOSSIBLE = "impossible"
    REPLACED = "replaced"


#: The mark that a session gets when its register broke.
MARKS: Final = {
    Judgement.BACKWARD: Quality.IMPLAUSIBLE,
    Judgement.IMPOSSIBLE: Quality.IMPLAUSIBLE,
    Judgement.REPLACED: Quality.METER_CHANGED,
}


WORDS: Final = {
    Judgement.BACKWARD: "the meter's register went back: check whether the meter was reset",
    Judgement.IMPOSSIBLE: "the meter's register rose faster than the installation allows: check its model and address",
    Judgement.REPLACED: "another meter answers than before (other serial number)",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """The view after a sample, and what the sample was."""

    view: MeterView
    judgement: Judgement


def judge(view: MeterView, reading: Reading, policy: EvsePolicy) -> Judged:
    """Judge a sample against the last good one.

    A sample that runs back or rises faster than the installation allows is dropped; when it is confirmed
    ``DOUBTS_ALLOWED`` times in a row the register has truly broken (BACKWARD, IMPOSSIBLE) and counts anew from there.
    Another serial number is believed at once (REPLACED). A dropped sample counts as a poll without a reading.
    """
    last = view.reading
    if last is None:
        return Judged(_accept(view, reading), Judgement.GOOD)
    if replaced(last, reading):
        return Judged(_distrust(view, reading, Judgement.REPLACED), Judgement.REPLACED)
    fault = implausible(last, reading, policy)
    if fault is None:
        return Judged(_accept(view, reading), Judgement.GOOD)
    confirmed = view.doubtful is not None and implausible(view.doubtful, reading, policy) is None
    doubts = view.doubts + 1 if confirmed else 1
    if doubts >= DOUBTS_ALLOWED:
        return Judged(_distrust(view, reading, fault), fault)
    error = f"implausible reading dropped ({last.register:.1f} Wh, then {reading.register:.1f} Wh): {WORDS[fault]}"
    doubtful = replace(failed(view, error, reading.at.mono), doubts=doubts, doubtful=reading)
    return Judged(doubtful, Judgement.DOUBTFUL)


def replaced(last: Reading, reading: Reading) -> bool:
    """Tell whether two readings come from two meters."""
    return last.serial is not None and reading.serial is not None and last.serial != reading.serial


def implausible(last: Reading, reading: Reading, policy: EvsePolicy) -> Judgement | None:
    """Return what is wrong with a step of the register, None where nothing is."""
    rise = reading.register - last.register
    if rise < 0:
        return Judgement.BACKWARD
    elapsed = elapsed_s(last, reading)
    if elapsed is None:
        return None
    allowed = Decimal(policy.max_power_w) * max(elapsed, RISE_WINDOW_S) / 3600 + max(last.step, reading.step)
    return Judgement.IMPOSSIBLE if rise > allowed else None


def since_last_life(last: Reading, found: Reading) -> Reading:
    """Return a reading of an earlier run as if of this start of the machine, to be compared with a new one."""
    return replace(last, at=replace(found.at, mono=found.at.mono - gap_s(last.at, found.at)))


def gap_s(last: Instant, at: Instant) -> float:
    """Return the seconds between two runs: by the monotonic clock within one start of the machine, else by the wall.

    Where the time was not known the answer is the most that is likely, since it bounds how much energy may have flowed.
    """
    if last.boot == at.boot:
        return max(at.mono - last.mono, 0.0)
    told = max((at.wall - last.wall).total_seconds(), 0.0)
    known = last.status is TimeStatus.SYNCHRONISED and at.status is TimeStatus.SYNCHRONISED
    return told if known else max(told, CLOCKLESS_GAP_S)


def elapsed_s(last: Reading, reading: Reading) -> Decimal | None:
    """Return the seconds between two readings, None where the machine was started in between."""
    if last.at.boot != reading.at.boot:
        return None
    return Decimal(str(max(reading.at.mono - last.at.mono, 0.0)))


def failed(view: MeterView, error: str, mono: float) -> MeterView:
    """Return the view after a poll without a reading."""
    since = mono if view.failed_since is None else view.failed_since
    return replace(view, error=error, failed_since=since)


def fresh(view: MeterView, at: Instant, policy: EvsePolicy) -> bool:
    """Tell whether the last reading is good enough to begin a session on."""
    if view.reading is None or view.error is not None or view.reading.at.boot != at.boot:
        return False
    return at.mono - view.reading.at.mono <= max(3 * policy.poll_s, 5.0)


def broken(view: MeterView, mono: float, grace_s: float) -> bool:
    """Tell whether the meter has been silent for longer than is let go on, or its register just broke."""
    if view.distrusted_until is not None and mono < view.distrusted_until:
        return True
    return view.failed_since is not None and mono - view.failed_since >= grace_s


def unattributed(view: MeterView, energy: Wh) -> MeterView:
    """Return the view with energy added that nobody's session has."""
    return replace(view, unattributed=Wh(view.unattributed + max(energy, Decimal(0))))


def distrusted(view: MeterView, fault: Judgement, mono: float) -> MeterView:
    """Return the view of a meter whose register broke: shown as faulty for a while."""
    return replace(view, error=WORDS[fault], distrusted_until=mono + DISTRUST_S)


def draws(reading: Reading) -> bool | None:
    """Tell whether a car draws: by the currents, else by the power; None where the meter tells neither."""
    values = {value.name: value.number for value in reading.values if value.number.is_finite()}
    currents = [values[name] for name in CURRENTS if name in values]
    if currents:
        return max(currents) >= DRAWING_A
    return None if POWER not in values else values[POWER] >= DRAWING_W


def _accept(view: MeterView, reading: Reading) -> MeterView:
    """Return the view with a good reading; a meter that does not tell its serial number now is the one it was."""
    if reading.serial is None and view.reading is not None:
        reading = replace(reading, serial=view.reading.serial)
    lasting = view.distrusted_until is not None and reading.at.mono < view.distrusted_until
    error, until = (view.error, view.distrusted_until) if lasting else (None, None)
    view = replace(_watched(view, reading), reading=reading, error=error, failed_since=None)
    return replace(view, doubts=0, doubtful=None, distrusted_until=until)


def _watched(view: MeterView, reading: Reading) -> MeterView:
    """Return the view with what a reading shows of the car, which counts after some samples, or some time."""
    samples = view.drawing_samples + 1 if draws(reading) else 0
    since = reading.at.mono if view.idle_since is None else view.idle_since
    if samples:
        return replace(
            view, drawing=view.drawing or samples >= DRAWING_SAMPLES, drawing_samples=samples, idle_since=None
        )
    drawing = view.drawing and reading.at.mono - since < IDLE_S
    return replace(view, drawing=drawing, drawing_samples=0, idle_since=since)


def _distrust(view: MeterView, reading: Reading, fault: Judgement) -> MeterView:
    """Count anew from a reading."""
    return distrusted(_accept(replace(view, reading=None), reading), fault, reading.at.mono)

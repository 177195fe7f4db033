"""Readings: plausible or not, a meter that is lost, changed or broken, and what is measured while nobody charges."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.effects import Deenergise, Energise
from agent.core.facts import SessionEnded, SessionStarted
from agent.core.instant import Instant, TimeStatus
from agent.core.metering import (
    Judgement,
    broken,
    draws,
    failed,
    fresh,
    gap_s,
    judge,
    since_last_life,
    unattributed,
)
from agent.core.model import Quality, Reading, StopReason, Value, Wh
from agent.core.policy import EvsePolicy
from agent.core.state import MeterView
from tests.unit.core.charger import NOON, ONE, PRIVATE, a_charger, charging

POLICY = EvsePolicy(ONE, max_power_w=7200)


def reading(register: str | int, mono: float = 0.0, serial: str | None = "A", step: str = "1") -> Reading:
    at = Instant(mono, NOON + timedelta(seconds=mono))
    return Reading(at, Wh(Decimal(register)), serial=serial, step=Wh(Decimal(step)))


def view(*readings: Reading) -> MeterView:
    seen = MeterView()
    for one in readings:
        seen = judge(seen, one, POLICY).view
    return seen


# --- the table of judgements ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("register", "mono", "serial", "expected"),
    [
        (1000, 1.0, "A", Judgement.GOOD),  # nothing flowed
        (1002, 1.0, "A", Judgement.GOOD),
        (1021, 1.0, "A", Judgement.GOOD),  # 10 s of full power and one step
        ("1021.001", 1.0, "A", Judgement.DOUBTFUL),
        (1021, 10.0, "A", Judgement.GOOD),
        (1041, 20.0, "A", Judgement.GOOD),
        (1042, 20.0, "A", Judgement.DOUBTFUL),
        (999, 1.0, "A", Judgement.DOUBTFUL),
        (0, 1.0, "A", Judgement.DOUBTFUL),
        (1001, 1.0, "B", Judgement.REPLACED),
        (5, 1.0, "B", Judgement.REPLACED),
        (1001, 1.0, None, Judgement.GOOD),  # does not tell its serial number this time
    ],
)
def test_a_sample_is_judged_by_the_one_before(
    register: str | int, mono: float, serial: str | None, expected: Judgement
) -> None:
    assert judge(view(reading(1000)), reading(register, mono, serial), POLICY).judgement is expected


def test_the_first_reading_is_believed() -> None:
    assert judge(MeterView(), reading(0), POLICY).judgement is Judgement.GOOD


def test_a_coarse_meter_may_rise_by_one_step_more() -> None:
    last = view(reading(1000, step="100"))
    assert judge(last, reading(1120, 1, step="100"), POLICY).judgement is Judgement.GOOD
    assert judge(last, reading(1200, 1, step="100"), POLICY).judgement is Judgement.DOUBTFUL


@pytest.mark.parametrize(("far", "fault"), [(100, Judgement.BACKWARD), (900_000, Judgement.IMPOSSIBLE)])
def test_the_third_implausible_sample_in_a_row_breaks_the_register(far: int, fault: Judgement) -> None:
    seen = view(reading(1000))
    judged = [judge(seen, reading(far, 1), POLICY)]
    judged.append(judge(judged[-1].view, reading(far + 2, 2), POLICY))
    judged.append(judge(judged[-1].view, reading(far + 4, 3), POLICY))
    assert [j.judgement for j in judged] == [Judgement.DOUBTFUL, Judgement.DOUBTFUL, fault]
    after = judged[-1].view
    assert after.reading == reading(far + 4, 3)
    assert after.distrusted_until == 13.0
    assert broken(after, 12.9, 60)
    assert not broken(judge(after, reading(far + 5, 13.0), POLICY).view, 13.0, 60)


def test_a_good_sample_forgets_the_doubts() -> None:
    seen = view(reading(1000), reading(0, 1), reading(0, 2), reading(1002, 3))
    assert (seen.doubts, seen.doubtful, seen.error, seen.failed_since) == (0, None, None, None)
    assert judge(seen, reading(0, 4), POLICY).judgement is Judgement.DOUBTFUL


def test_noise_never_breaks_a_register_however_long_it_lasts() -> None:
    seen = view(reading(1000))
    for n in range(20):
        judged = judge(seen, reading(10**9 if n % 2 else 5, n + 1), POLICY)
        assert judged.judgement is Judgement.DOUBTFUL
        seen = judged.view
    assert seen.reading == reading(1000)
    assert broken(seen, 20, 10)


def test_a_dropped_sample_says_what_was_dropped() -> None:
    error = view(reading(1000), reading(7, 1)).error
    assert error is not None
    assert "1000.0 Wh, then 7.0 Wh" in error


def test_the_serial_number_is_remembered_over_readings_without_one() -> None:
    seen = view(reading(1000), reading(1001, 1, serial=None))
    assert judge(seen, reading(1002, 2, serial="B"), POLICY).judgement is Judgement.REPLACED


def test_a_meter_that_never_told_its_serial_number_is_not_replaced_by_telling_it() -> None:
    assert judge(view(reading(1000, serial=None)), reading(1000, 1), POLICY).judgement is Judgement.GOOD


@pytest.mark.requirement(55)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=60))
def test_a_believed_register_never_runs_backwards_but_for_a_new_beginning(samples: list[int]) -> None:
    seen = MeterView()
    for n, register in enumerate(samples):
        before = seen.reading
        judged = judge(seen, reading(register, n), POLICY)
        seen = judged.view
        if judged.judgement is Judgement.GOOD and before is not None and seen.reading is not None:
            assert 0 <= seen.reading.register - before.register <= 21


def test_failures_count_from_the_first_of_the_row() -> None:
    seen = failed(failed(view(reading(1)), "no answer", 5), "no answer", 9)
    assert seen.failed_since == 5
    assert not broken(seen, 64.9, 60)
    assert broken(seen, 65, 60)
    assert judge(seen, reading(2, 70), POLICY).view.failed_since is None


@pytest.mark.requirement(54)
@pytest.mark.parametrize(
    ("age", "error", "boot", "good"),
    [(0, None, 1, True), (5, None, 1, True), (5.1, None, 1, False), (0, "no answer", 1, False), (0, None, 2, False)],
)
def test_a_start_needs_a_fresh_reading(age: float, error: str | None, boot: int, good: bool) -> None:
    seen = replace(view(reading(1, 100)), error=error)
    assert fresh(seen, Instant(100 + age, NOON, boot=boot), POLICY) is good


def test_a_slow_poll_makes_older_readings_fresh() -> None:
    slow = replace(POLICY, poll_s=10.0)
    assert fresh(view(reading(1, 100)), Instant(130, NOON), slow)
    assert not fresh(view(reading(1, 100)), Instant(130.5, NOON), slow)
    assert not fresh(MeterView(), Instant(130, NOON), slow)


def test_what_flowed_for_nobody_is_added_up_and_never_negative() -> None:
    seen = unattributed(unattributed(MeterView(), Wh(Decimal("0.3"))), Wh(Decimal(-4)))
    assert seen.unattributed == Decimal("0.3")


@pytest.mark.parametrize(
    ("boot", "last_status", "status", "expected"),
    [
        (1, TimeStatus.UNKNOWN, TimeStatus.UNKNOWN, 50.0),
        (2, TimeStatus.SYNCHRONISED, TimeStatus.SYNCHRONISED, 3600.0),
        (2, TimeStatus.SYNCHRONISED, TimeStatus.INFORMATIVE, 86_400.0),
        (2, TimeStatus.UNKNOWN, TimeStatus.SYNCHRONISED, 86_400.0),
    ],
)
def test_the_gap_between_two_lives_is_the_most_that_is_likely(
    boot: int, last_status: TimeStatus, status: TimeStatus, expected: float
) -> None:
    last = Instant(100, NOON, last_status, boot=1)
    now = Instant(150, NOON + timedelta(hours=1), status, boot=boot)
    assert gap_s(last, now) == expected
    lifted = since_last_life(Reading(last, Wh(Decimal(5))), Reading(now, Wh(Decimal(6)))).at
    assert (lifted.mono, lifted.boot) == (150 - expected, boot)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"current_l1": "1.0"}, True),
        ({"current_l1": "0.2", "current_l2": "0.1", "current_l3": "1.4"}, True),
        ({"current_l1": "0.9", "power_total": "5000"}, False),
        ({"power_total": "230"}, True),
        ({"power_total": "229.9"}, False),
        ({"power_total": "NaN"}, None),
        ({"voltage_l1": "230"}, None),
    ],
)
def test_a_car_draws_where_currents_or_power_show_it(values: dict[str, str], expected: bool | None) -> None:
    seen = replace(reading(1), values=tuple(Value(n, Decimal(v)) for n, v in values.items()))
    assert draws(seen) is expected


def test_drawing_takes_three_samples_and_lasts_five_minutes_over_a_pause() -> None:
    on, off = (Value("current_l1", Decimal(6)),), (Value("current_l1", Decimal(0)),)
    seen, drawing = MeterView(), []
    for mono in range(400):
        seen = judge(seen, replace(reading(1, mono), values=on if mono in range(5, 20) else off), POLICY).view
        drawing.append(seen.drawing)
    assert drawing.index(True) == 7
    assert drawing[7:320] == [True] * 313
    assert not drawing[320]


# --- in the station -------------------------------------------------------------------------------------------------


@pytest.mark.requirement(46)
def test_a_card_without_a_meter_is_refused_with_the_cause() -> None:
    c = a_charger()
    c.site.meter_error = "meter 1 does not answer: check line and address"
    c.plug()
    c.card(PRIVATE)
    assert not c.facts
    assert c.said == "card ****CC03 refused: no meter reading: meter 1 does not answer: check line and address"
    c.run(6)
    assert c.shown == "Faulted/PowerMeterFailure"


@pytest.mark.requirement(46)
def test_a_card_before_the_first_reading_is_refused() -> None:
    c = a_charger()
    c.state = c.state.put(replace(c.evse, meter=MeterView()))
    c.poll_evse()
    c.card(PRIVATE)
    assert c.said == "card ****CC03 refused: no meter reading: the meter has not answered yet"


@pytest.mark.requirement(54)
def test_a_meter_lost_in_mid_session_changes_nothing_within_its_grace() -> None:
    c = charging()
    c.site.meter_error = "no answer"
    before = len(c.effects), len(c.safety), len(c.facts)
    c.run(60)
    assert (len(c.effects), len(c.safety), len(c.facts)) == before
    assert c.shown == "Charging"


def test_a_meter_lost_for_longer_suspends_and_goes_on_by_itself_with_the_exact_register() -> None:
    c = charging()
    c.site.meter_error = "no answer"
    c.run(62)
    assert c.safety[-1] == Deenergise(ONE)
    assert c.shown == "Faulted/PowerMeterFailure"
    assert c.phase == "suspended-evse"
    c.run(600)
    assert not c.all(SessionEnded)
    c.site.meter_error = None
    c.run(10)
    assert isinstance([e for e in c.effects if isinstance(e, Energise)][-1], Energise)
    assert c.shown == "Charging"
    c.card(PRIVATE)
    c.run(5)
    ended = c.only(SessionEnded)
    assert ended.register == c.site.register
    assert c.evse.meter.unattributed == 0


@pytest.mark.requirement(55)
@pytest.mark.parametrize("far", [Decimal(5), Decimal(90_000_000)])
def test_a_register_that_breaks_closes_the_session_on_the_last_good_reading(far: Decimal) -> None:
    c = charging()
    c.run(30)
    good = c.site.register
    c.site.register = far
    c.poll_meter()
    c.pass_time(1)
    c.poll_meter()
    assert not c.all(SessionEnded)
    assert c.phase == "charging"
    c.pass_time(1)
    result = c.poll_meter()
    assert Deenergise(ONE) in result.safety
    ended = c.only(SessionEnded)
    assert (ended.register, ended.reason, ended.quality) == (good, StopReason.OTHER, (Quality.IMPLAUSIBLE,))
    assert c.shown == "Faulted/PowerMeterFailure"
    c.run(9)
    assert c.shown == "Faulted/PowerMeterFailure"
    c.run(2)
    assert c.shown == "Finishing"
    assert c.evse.meter.unattributed <= 10


def test_a_meter_that_is_replaced_closes_the_session_at_once() -> None:
    c = charging()
    good = c.site.register
    c.site.serial, c.site.register = "99999999", Decimal(12)
    c.poll_meter()
    ended = c.only(SessionEnded)
    assert (ended.register, ended.quality) == (good, (Quality.METER_CHANGED,))
    assert c.shown == "Faulted/PowerMeterFailure"


def test_nobody_starts_while_the_register_is_distrusted() -> None:
    c = charging()
    c.site.serial = "99999999"
    c.poll_meter()
    c.unplug()
    c.plug()
    c.card(PRIVATE)
    assert "other serial number" in c.said
    c.run(12)
    c.card(PRIVATE)
    assert len(c.all(SessionStarted)) == 2


def test_a_meter_replaced_between_sessions_invents_no_energy() -> None:
    c = a_charger()
    c.site.serial, c.site.register = "99999999", Decimal(5_000_000)
    c.poll_meter()
    assert c.evse.meter.unattributed == 0


def test_energy_without_a_session_belongs_to_nobody() -> None:
    c = charging()
    c.card(PRIVATE)
    c.run(5)
    end = c.only(SessionEnded).register
    c.site.register += 3
    c.run(2)
    assert c.evse.meter.unattributed == c.site.register - end == 3


@pytest.mark.requirement(46)
def test_sessions_and_what_belongs_to_nobody_make_up_the_register_exactly() -> None:
    c = a_charger()
    begin = c.site.register
    for power in (7200, 3599, 11_000):
        c.site.register += Decimal("0.7")
        c.site.power_w = power
        charging(c)
        c.run(power % 50)
        c.unplug()
        c.run(4)
    sessions = sum(
        e.register - s.reading.register for s, e in zip(c.all(SessionStarted), c.all(SessionEnded), strict=True)
    )
    assert sessions + c.evse.meter.unattributed == c.site.register.quantize(Decimal("0.001")) - begin

"""Cases 171 to 187: charging profiles, what they come to, and what the controller is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.core.commands import CallRef, PutCard
from agent.core.events import CommandReceived
from agent.core.model import IdToken, MilliAmp, Profile
from tests.conformance.csms import Csms, Payload
from tests.conformance.leaps import Leaps
from tests.conformance.rig import Rig
from tests.conformance.steps import finish, offline, online

ACCEPTED = {"status": "Accepted"}
REJECTED = {"status": "Rejected"}
UNKNOWN = {"status": "Unknown"}
VIOLATED = "PropertyConstraintViolation"
MAX, DEFAULT, TX = "ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"
IN_SCHEDULE = {"duration", "startSchedule", "chargingRateUnit", "minChargingRate"}
HARDWARE_A = 16.0


@pytest.fixture
def rig(rig: Rig) -> Rig:
    """The pace of limits is a case of its own."""
    rig.policy["limit_pace_s"] = 0.0
    return rig


@pytest.fixture
def leaps(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Leaps:
    return Leaps(rig, monkeypatch)


# ---- profiles --------------------------------------------------------------------------------------------------------


def periods(*limits: float | tuple[int, float] | Payload) -> list[Payload]:
    """Return periods of limits: ``16`` or ``(60, 10)``, or as they shall be sent."""
    pairs = [limit if isinstance(limit, tuple | dict) else (0, limit) for limit in limits]
    return [pair if isinstance(pair, dict) else {"startPeriod": pair[0], "limit": pair[1]} for pair in pairs]


def profile(purpose: str, *limits: float | tuple[int, float] | Payload, id_: int = 1, **more: Any) -> Payload:  # noqa: ANN401  # JSON
    """Return a profile; more: other members, of the schedule where they belong there."""
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": periods(*limits)}
    schedule |= {name: value for name, value in more.items() if name in IN_SCHEDULE}
    whole: Payload = {
        "chargingProfileId": id_,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative" if purpose == TX else "Absolute",
        "chargingSchedule": schedule,
    }
    return whole | {name: value for name, value in more.items() if name not in IN_SCHEDULE}


def moment(csms: Csms, seconds: float = 0) -> str:
    """Return a moment of whole seconds, from now by the central system's clock."""
    at = datetime.now(UTC) + csms.offset + timedelta(seconds=seconds)
    return at.replace(microsecond=0).isoformat().replace("+00:00", "Z")


async def put(csms: Csms, what: Payload, connector: int = 1) -> Payload:
    return await csms.call("SetChargingProfile", connectorId=connector, csChargingProfiles=what)


async def accept(csms: Csms, what: Payload, connector: int = 1) -> None:
    assert await put(csms, what, connector) == ACCEPTED


async def clear(csms: Csms, **filters: object) -> Payload:
    return await csms.call("ClearChargingProfile", **filters)


async def composite(csms: Csms, connector: int = 1, duration: int = 600, unit: str | None = None) -> Payload:
    more = {} if unit is None else {"chargingRateUnit": unit}
    told = await csms.call("GetCompositeSchedule", connectorId=connector, duration=duration, **more)
    assert told["status"] == "Accepted"
    assert told["connectorId"] == connector
    started = datetime.fromisoformat(told["scheduleStart"])
    assert abs((started - datetime.now(UTC) - csms.offset).total_seconds()) < 4
    schedule: Payload = told["chargingSchedule"]
    assert "startSchedule" not in schedule
    assert schedule["duration"] == duration
    assert unit is None or schedule["chargingRateUnit"] == unit
    assert schedule["chargingSchedulePeriod"][0]["startPeriod"] == 0
    return schedule


async def limits(csms: Csms, connector: int = 1, duration: int = 600, unit: str | None = None) -> list[float]:
    """Return the limit of every second to come."""
    schedule = await composite(csms, connector, duration, unit)
    result: list[float] = []
    parts = schedule["chargingSchedulePeriod"]
    for part, following in zip(parts, [*parts[1:], {"startPeriod": duration}], strict=True):
        result += [part["limit"]] * (following["startPeriod"] - part["startPeriod"])
    assert len(result) == duration
    return result


async def offers(rig: Rig, ampere: float) -> None:
    """Wait until the controller has been told a limit."""
    await rig.until(lambda: rig.box().limit == round(ampere * 1000), f"a limit of {ampere} A")


def alike(found: list[float], wanted: list[float], slack_s: int = 2) -> bool:
    """Tell whether limits of seconds are as wanted, but for a second or two around each change."""
    around = [set(wanted[max(n - slack_s, 0) : n + slack_s + 1]) for n in range(len(wanted))]
    return len(found) == len(wanted) and all(limit in near for limit, near in zip(found, around, strict=True))


# ---- cases -----------------------------------------------------------------------------------------------------------


async def test_case_171_a_default_profile_before_a_transaction(rig: Rig) -> None:
    csms = await rig.ready()
    await accept(csms, profile(DEFAULT, 6, (60, 10), (120, 8), duration=300, startSchedule=moment(csms)))
    wanted = [6.0] * 60 + [10.0] * 60 + [8.0] * 180 + [16.0] * 60
    assert alike(await limits(csms, duration=360), wanted)
    assert alike(await limits(csms, duration=360, unit="A"), wanted)
    assert alike(await limits(csms, duration=360, unit="W"), [690 * limit for limit in wanted])
    await rig.charging()
    assert rig.box().limit == 6_000


@pytest.mark.parametrize("named", [True, False])
async def test_case_172_a_transactions_profile_during_it(rig: Rig, leaps: Leaps, named: bool) -> None:
    csms = await rig.ready()
    await rig.charging()
    transaction = {"transactionId": 1} if named else {}
    await accept(
        csms, profile(TX, 10, (60, 7), startSchedule=moment(csms), chargingProfileKind="Absolute", **transaction)
    )
    await offers(rig, 10)
    assert alike(await limits(csms, duration=120), [10.0] * 60 + [7.0] * 60)
    await leaps.ahead(62)
    await offers(rig, 7)
    assert set(csms.statuses(1)) <= {"Preparing", "Charging"}


async def test_case_172_a_default_profile_takes_effect_on_a_running_transaction(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging()
    await accept(csms, profile(DEFAULT, 8), connector=0)
    await offers(rig, 8)
    await csms.change("MeterValueSampleInterval", 1)
    values = await csms.expect("MeterValues")
    offered = [v for v in values["meterValue"][0]["sampledValue"] if v["measurand"] == "Current.Offered"]
    assert [(v["value"], v["unit"]) for v in offered] == [("8", "A")]
    await csms.change("MeterValueSampleInterval", 0)


async def test_case_173_a_transactions_profile_without_that_transaction(rig: Rig) -> None:
    csms = await rig.ready()
    assert await put(csms, profile(TX, 6)) == REJECTED
    assert await put(csms, profile(TX, 6, transactionId=1)) == REJECTED
    await rig.charging()
    assert await put(csms, profile(TX, 6, transactionId=2)) == REJECTED
    await rig.settle()
    assert rig.box().limit == 16_000
    assert await limits(csms) == [HARDWARE_A] * 600
    await finish(rig)
    assert await put(csms, profile(TX, 6, transactionId=1)) == REJECTED


async def start(csms: Csms, brought: Payload, card: str = "REMOTE") -> Payload:
    return await csms.call("RemoteStartTransaction", idTag=card, connectorId=1, chargingProfile=brought)


@pytest.mark.parametrize("asked", [True, False])
async def test_case_174_a_remote_start_with_a_profile(rig: Rig, asked: bool) -> None:
    csms = await rig.ready(AuthorizeRemoteTxRequests=asked)
    assert await start(csms, profile(TX, 9)) == ACCEPTED
    await csms.status(1, "Preparing")
    rig.plug()
    await csms.expect("StartTransaction", idTag="REMOTE")
    await csms.status(1, "Charging")
    assert [limit for limit in rig.box().limits if limit] == [9_000]
    await rig.until(lambda: (s := rig.evse().session) and s.transaction, "the transaction's name")
    await accept(csms, profile(TX, 7, id_=5, transactionId=1))
    await offers(rig, 7)
    assert await clear(csms, id=1) == UNKNOWN


async def test_case_174_a_remote_start_with_a_wrong_profile(rig: Rig) -> None:
    csms = await rig.ready()
    rig.plug()
    await csms.status(1, "Preparing")
    for wrong in (profile(DEFAULT, 9), profile(MAX, 9), profile(TX, 9, transactionId=1), profile(TX, 9, stackLevel=11)):
        assert await start(csms, wrong) == REJECTED
    await rig.quiet("StartTransaction", "Authorize")


async def test_case_175_the_minimum_of_all_purposes_in_every_second(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging()
    now = moment(csms)
    await accept(csms, profile(MAX, 14, (120, 9), (240, 16), id_=1, startSchedule=now), connector=0)
    await accept(csms, profile(DEFAULT, 6, id_=2, startSchedule=now))
    absolute: Payload = {"startSchedule": now, "chargingProfileKind": "Absolute", "duration": 300}
    await accept(csms, profile(TX, 8, (60, 15), (180, 10), id_=3, **absolute))
    most = [14.0] * 120 + [9.0] * 120 + [16.0] * 160
    own = [8.0] * 60 + [15.0] * 120 + [10.0] * 120 + [6.0] * 100
    wanted = [min(pair) for pair in zip(most, own, strict=True)]
    assert alike(await limits(csms, duration=400), wanted)


async def test_case_176_clearing_by_id_by_criteria_and_all(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging()
    await accept(csms, profile(MAX, 15, id_=1), connector=0)
    await accept(csms, profile(DEFAULT, 14, id_=2), connector=0)
    await accept(csms, profile(DEFAULT, 13, id_=3, stackLevel=1))
    await accept(csms, profile(TX, 12, id_=4))
    assert await clear(csms, id=9) == UNKNOWN
    assert await clear(csms, id=4, connectorId=0, chargingProfilePurpose=MAX, stackLevel=9) == ACCEPTED
    await offers(rig, 13)
    assert await clear(csms, connectorId=0, stackLevel=1) == UNKNOWN
    assert await clear(csms, connectorId=1, stackLevel=1) == ACCEPTED
    await offers(rig, 14)
    assert await clear(csms, chargingProfilePurpose=DEFAULT) == ACCEPTED
    await offers(rig, 15)
    assert await clear(csms) == ACCEPTED
    await offers(rig, 16)
    assert await clear(csms) == UNKNOWN
    assert await limits(csms) == [HARDWARE_A] * 600


async def test_case_177_stacking(rig: Rig, leaps: Leaps) -> None:
    csms = await rig.ready()
    now = moment(csms)
    await accept(
        csms, profile(DEFAULT, 6, (50, 7), (100, 8), (150, 9), (250, 10), id_=1, duration=400, startSchedule=now)
    )
    await accept(csms, profile(DEFAULT, 11, (100, 12), id_=2, stackLevel=1, duration=150, startSchedule=now))
    wanted = [11.0] * 100 + [12.0] * 50 + [9.0] * 100 + [10.0] * 150 + [16.0] * 50
    assert alike(await limits(csms, duration=450), wanted)
    await rig.charging()
    await offers(rig, 11)
    await leaps.ahead(103)
    await offers(rig, 12)
    await leaps.ahead(50)
    await offers(rig, 9)
    await leaps.ahead(100)
    await offers(rig, 10)
    await leaps.ahead(150)
    await offers(rig, 16)


@pytest.mark.parametrize(("kind", "days"), [("Daily", 1), ("Daily", 3), ("Weekly", 7), ("Weekly", 14)])
async def test_case_178_recurrence_across_the_boundary(rig: Rig, leaps: Leaps, kind: str, days: int) -> None:
    csms = await rig.ready()
    began = moment(csms, 60 - days * 86_400)
    length = 86_400 if kind == "Daily" else 7 * 86_400
    recurring: Payload = {"chargingProfileKind": "Recurring", "recurrencyKind": kind, "startSchedule": began}
    await accept(csms, profile(DEFAULT, 7, id_=1), connector=0)
    last = length - 100
    await accept(
        csms, profile(DEFAULT, 10, (30, 12), (last, 9), id_=2, stackLevel=1, duration=length - 20, **recurring)
    )
    wanted = [9.0] * 40 + [7.0] * 20 + [10.0] * 30 + [12.0] * 60
    assert alike(await limits(csms, duration=150), wanted)
    await rig.charging()
    await offers(rig, 9)
    await leaps.ahead(43)
    await offers(rig, 7)
    await leaps.ahead(20)
    await offers(rig, 10)
    await leaps.ahead(30)
    await offers(rig, 12)


async def test_case_178_a_recurrence_that_has_not_begun(rig: Rig) -> None:
    csms = await rig.ready()
    recurring: Payload = {
        "chargingProfileKind": "Recurring",
        "recurrencyKind": "Daily",
        "startSchedule": moment(csms, 60),
    }
    await accept(csms, profile(DEFAULT, 7, duration=30, **recurring))
    assert alike(await limits(csms, duration=120), [16.0] * 60 + [7.0] * 30 + [16.0] * 30)


async def test_case_179_relative_profiles_count_from_the_transactions_start(rig: Rig, leaps: Leaps) -> None:
    csms = await rig.ready()
    await rig.charging()
    await leaps.ahead(50)
    await accept(csms, profile(DEFAULT, 10, (60, 8), (120, 7), id_=1, chargingProfileKind="Relative"), connector=0)
    assert alike(await limits(csms, duration=100), [10.0] * 10 + [8.0] * 60 + [7.0] * 30)
    rig.box().asks = False
    await csms.status(1, "SuspendedEV")
    await leaps.ahead(12)
    await offers(rig, 8)
    rig.box().asks = True
    await csms.status(1, "Charging")
    await leaps.ahead(60)
    await offers(rig, 7)


async def test_case_180_validity(rig: Rig, leaps: Leaps) -> None:
    csms = await rig.ready()
    valid: Payload = {"validFrom": moment(csms, 60), "validTo": moment(csms, 120)}
    await accept(csms, profile(DEFAULT, 8, **valid))
    assert alike(await limits(csms, duration=180), [16.0] * 60 + [8.0] * 60 + [16.0] * 60)
    await rig.charging()
    assert rig.box().limit == 16_000
    await leaps.ahead(63)
    await offers(rig, 8)
    await leaps.ahead(60)
    await offers(rig, 16)
    assert await put(csms, profile(DEFAULT, 8, validTo=moment(csms, -1))) == REJECTED
    reversed_: Payload = {"validFrom": moment(csms, 90), "validTo": moment(csms, 60)}
    assert await put(csms, profile(DEFAULT, 8, **reversed_)) == REJECTED


async def test_case_180_a_replacement_that_is_valid_later_leaves_a_gap(rig: Rig) -> None:
    csms = await rig.ready()
    await accept(csms, profile(DEFAULT, 8))
    await accept(csms, profile(DEFAULT, 9, validFrom=moment(csms, 60)))
    assert alike(await limits(csms, duration=120), [16.0] * 60 + [9.0] * 60)


async def test_case_181_replacement(rig: Rig) -> None:
    csms = await rig.ready()
    await accept(csms, profile(DEFAULT, 8, id_=1))
    await accept(csms, profile(DEFAULT, 9, id_=1, stackLevel=2))
    assert await limits(csms, duration=60) == [9.0] * 60
    await accept(csms, profile(DEFAULT, 10, id_=2, stackLevel=2))
    assert await limits(csms, duration=60) == [10.0] * 60
    assert await clear(csms, id=1) == UNKNOWN
    assert await clear(csms, id=2) == ACCEPTED
    assert await limits(csms, duration=60) == [HARDWARE_A] * 60


async def test_case_181_a_default_of_one_connector_stands_before_that_of_all(rig: Rig) -> None:
    rig.connectors = 2
    csms = await rig.ready()
    await accept(csms, profile(DEFAULT, 8, id_=1), connector=0)
    await accept(csms, profile(DEFAULT, 9, id_=2), connector=1)
    assert await limits(csms, 1, duration=60) == [9.0] * 60
    assert await limits(csms, 2, duration=60) == [8.0] * 60
    assert await clear(csms, id=2) == ACCEPTED
    assert await limits(csms, 1, duration=60) == [8.0] * 60


@pytest.mark.parametrize("cut", [True, False])
async def test_case_182_profiles_survive_a_restart(rig: Rig, cut: bool) -> None:
    csms = await rig.ready()
    await rig.charging()
    await accept(csms, profile(MAX, 14, id_=1), connector=0)
    await accept(csms, profile(DEFAULT, 12, id_=2))
    await accept(csms, profile(TX, 10, id_=3))
    await offers(rig, 10)
    csms.mark()
    await (rig.power_cut() if cut else rig.stop())
    await rig.start()
    await csms.expect("BootNotification")
    await rig.until(lambda: (s := rig.evse().session) and rig.evse().recovering is None and s, "the session goes on")
    await offers(rig, 10)
    await finish(rig)
    assert await clear(csms, id=3) == UNKNOWN
    assert await limits(csms, duration=60) == [12.0] * 60
    assert await limits(csms, 0, duration=60) == [12.0] * 60


@pytest.mark.parametrize(
    ("unit", "part", "limit"),
    [
        ("W", {"limit": 5000}, (7.2, 5000.0)),
        ("W", {"limit": 5000, "numberPhases": 3}, (7.2, 5000.0)),
        ("W", {"limit": 2500, "numberPhases": 1}, (10.8, 2500.0)),
        ("W", {"limit": 7360.5}, (10.6, 7360.5)),
        ("A", {"limit": 10}, (10.0, 6900.0)),
        ("A", {"limit": 10.5, "numberPhases": 3}, (10.5, 7245.0)),
        ("A", {"limit": 10, "numberPhases": 1}, (10.0, 2300.0)),
    ],
)
async def test_case_183_units_and_phases(rig: Rig, unit: str, part: Payload, limit: tuple[float, float]) -> None:
    csms = await rig.ready()
    await accept(csms, profile(DEFAULT, {"startPeriod": 0, **part}, chargingRateUnit=unit))
    (own,) = (await composite(csms))["chargingSchedulePeriod"]
    assert own == {"startPeriod": 0, **part}
    assert (await composite(csms))["chargingRateUnit"] == unit
    assert await limits(csms, duration=60, unit="A") == [limit[0]] * 60
    assert await limits(csms, duration=60, unit="W") == [limit[1]] * 60
    await rig.charging()
    assert rig.box().limit == round(limit[0] * 1000)


async def test_case_183_a_connector_of_one_phase(rig: Rig) -> None:
    one = rig.plan.policy.evses[0]
    rig.plan.policy = replace(rig.plan.policy, evses=(replace(one, phases=1),))
    csms = await rig.ready()
    await accept(csms, profile(DEFAULT, {"startPeriod": 0, "limit": 10.0, "numberPhases": 3}))
    assert await limits(csms, duration=60, unit="A") == [10.0] * 60
    await accept(csms, profile(DEFAULT, 2300, chargingRateUnit="W"))
    assert await limits(csms, duration=60, unit="A") == [10.0] * 60


async def test_case_184_connector_0(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging()
    assert await put(csms, profile(TX, 8, id_=3), connector=0) == REJECTED
    assert await put(csms, profile(MAX, 8, id_=3), connector=1) == REJECTED
    relative = profile(MAX, 8, id_=3, chargingProfileKind="Relative")
    assert await put(csms, relative, connector=0) == REJECTED
    await accept(csms, profile(MAX, 12, id_=1), connector=0)
    assert await limits(csms, 0, duration=60) == [12.0] * 60
    await accept(csms, profile(DEFAULT, 10, id_=2), connector=0)
    assert await limits(csms, 0, duration=60) == [10.0] * 60
    await offers(rig, 10)


async def test_case_184_two_connectors_share_what_the_station_may_draw(rig: Rig) -> None:
    rig.connectors = 2
    csms = await rig.ready()
    assert await limits(csms, 0, duration=60) == [2 * HARDWARE_A] * 60
    await accept(csms, profile(MAX, 20), connector=0)
    assert await limits(csms, 0, duration=60) == [20.0] * 60
    await rig.charging("CARD1", connector=1)
    await rig.charging("CARD2", connector=2)
    await rig.until(lambda: [rig.box(n).limit for n in (1, 2)] == [10_000, 10_000], "even parts")


@pytest.mark.parametrize("low", [0, 5.9])
async def test_case_185_less_than_6_a_suspends(rig: Rig, leaps: Leaps, low: float) -> None:
    rig.policy["limit_pace_s"] = 5.0
    csms = await rig.ready()
    await rig.charging()
    await leaps.ahead(6)
    csms.mark()
    await accept(csms, profile(TX, low))
    await csms.status(1, "SuspendedEVSE")
    await offers(rig, 0)
    await leaps.ahead(30)
    await accept(csms, profile(TX, 6))
    await csms.status(1, "Charging")
    assert rig.box().limit == 6_000
    await accept(csms, profile(TX, 7))
    await rig.settle()
    assert rig.box().limit == 6_000, "the last change is not five seconds old"
    await leaps.ahead(5)
    await offers(rig, 7)
    assert [s for s in csms.statuses(1) if s != "SuspendedEV"] == ["SuspendedEVSE", "Charging"]
    await rig.quiet("StopTransaction")


async def test_case_185_a_start_while_the_limit_is_0(rig: Rig) -> None:
    csms = await rig.ready()
    await accept(csms, profile(DEFAULT, 0), connector=0)
    rig.plug()
    await csms.status(1, "Preparing")
    rig.tap("CARD1")
    await csms.expect("StartTransaction")
    await csms.status(1, "SuspendedEVSE")
    assert set(rig.box().limits) <= {MilliAmp(0)}
    assert await clear(csms) == ACCEPTED
    await csms.status(1, "Charging")


async def test_case_186_decimals_and_the_order_of_periods(rig: Rig) -> None:
    csms = await rig.ready()
    await accept(csms, profile(DEFAULT, 16.1))
    wrong = {"connectorId": 1, "csChargingProfiles": profile(DEFAULT, 16.25)}
    assert await csms.refused("SetChargingProfile", wrong) == VIOLATED
    for order in ([(1, 6)], [(0, 6), (60, 7), (30, 8)], [(0, 6), (60, 7), (60, 8)], [], [(0, -1)]):
        assert await put(csms, profile(DEFAULT, *order)) == REJECTED
    assert await put(csms, profile(DEFAULT, 8, chargingProfileKind="Recurring", recurrencyKind="Daily")) == REJECTED
    assert await put(csms, profile(DEFAULT, 8, recurrencyKind="Daily", startSchedule=moment(csms))) == REJECTED


async def test_case_187_published_limits(rig: Rig) -> None:
    csms = await rig.ready()
    names = ("ChargeProfileMaxStackLevel", "ChargingScheduleMaxPeriods", "MaxChargingProfilesInstalled")
    level, count, installed = [int(str(await csms.value(name))) for name in names]
    assert await csms.value("ChargingScheduleAllowedChargingRateUnit") == "Current,Power"
    assert await put(csms, profile(DEFAULT, 8, stackLevel=level + 1)) == REJECTED
    assert await put(csms, profile(DEFAULT, 8, stackLevel=-1)) == REJECTED
    await accept(csms, profile(DEFAULT, 8, stackLevel=level))
    many = [(n, 6 + n % 5) for n in range(count + 1)]
    assert await put(csms, profile(DEFAULT, *many)) == REJECTED
    await accept(csms, profile(DEFAULT, *many[:-1]))
    assert await clear(csms) == ACCEPTED
    await rig.charging()
    places = [
        (purpose, n, c) for purpose, c in ((MAX, 0), (DEFAULT, 0), (DEFAULT, 1), (TX, 1)) for n in range(level + 1)
    ]
    for number, (purpose, n, connector) in enumerate(places[:installed]):
        await accept(csms, profile(purpose, 16, id_=number, stackLevel=n), connector)
    purpose, n, connector = places[installed]
    assert await put(csms, profile(purpose, 16, id_=99, stackLevel=n), connector) == REJECTED
    await accept(csms, profile(MAX, 15, id_=99, stackLevel=0), connector=0)


async def test_case_187_an_unknown_connector_or_unit(rig: Rig) -> None:
    csms = await rig.ready()
    for connector in (2, -1):
        payload = {"connectorId": connector, "csChargingProfiles": profile(DEFAULT, 8)}
        assert await csms.refused("SetChargingProfile", payload) == VIOLATED
        assert await csms.call("GetCompositeSchedule", connectorId=connector, duration=60) == REJECTED
        assert await clear(csms, connectorId=connector) == UNKNOWN
    wrong = {"connectorId": 1, "csChargingProfiles": profile(DEFAULT, 8, chargingRateUnit="X")}
    assert await csms.refused("SetChargingProfile", wrong) == VIOLATED
    asked = {"connectorId": 1, "duration": 60, "chargingRateUnit": "X"}
    assert await csms.refused("GetCompositeSchedule", asked) == VIOLATED


async def test_case_187_a_profile_keeps_running_offline(rig: Rig, leaps: Leaps) -> None:
    csms = await rig.ready()
    await rig.charging()
    absolute: Payload = {"startSchedule": moment(csms), "chargingProfileKind": "Absolute"}
    await accept(csms, profile(TX, 10, (60, 0), (120, 8), **absolute))
    await offers(rig, 10)
    await offline(rig)
    await leaps.ahead(62)
    await offers(rig, 0)
    await leaps.ahead(60)
    await offers(rig, 8)
    await online(rig)
    assert rig.box().charging


async def test_a_private_session_takes_no_profile_of_its_own(rig: Rig) -> None:
    csms = await rig.ready()
    await private(rig, "PRIVATE1")
    rig.plug()
    await csms.status(1, "Preparing")
    rig.tap("PRIVATE1")
    await csms.status(1, "Charging")
    assert await put(csms, profile(TX, 8)) == REJECTED
    assert await put(csms, profile(TX, 8, transactionId=1)) == REJECTED
    await rig.settle()
    assert rig.box().limit == 16_000
    await accept(csms, profile(DEFAULT, 9))
    await offers(rig, 9)
    await rig.quiet("StartTransaction", "Authorize", "MeterValues")


async def private(rig: Rig, card: str) -> None:
    """Let the station know a private card, as the installer would."""
    rig.now.loop.post(CommandReceived(CallRef("control", "1"), PutCard(IdToken(card), Profile.PRIVATE)))
    await rig.settle()

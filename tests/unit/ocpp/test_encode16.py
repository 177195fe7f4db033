"""Requests of the station in OCPP 1.6: golden payloads, valid by the official schemas; and how answers are read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp.messages import get_validator

from agent.core.effects import ReportStatus
from agent.core.facts import (
    Fact,
    HeldReleased,
    MeterSampled,
    SessionEnded,
    SessionSampled,
    SessionStarted,
    StartTrigger,
)
from agent.core.instant import Instant
from agent.core.model import (
    ConnectorStatus,
    ErrorCode,
    EvseId,
    IdToken,
    Profile,
    Quality,
    Reading,
    ReadingContext,
    Registration,
    Reporting,
    SessionId,
    StopReason,
    TokenInfo,
    TokenStatus,
    Value,
    Wh,
)
from agent.core.outbox import Queued
from agent.core.settings import Settings
from agent.ocpp.dialect import Booted, Call, Encoded, Identity, NotYet, Skip, Taken, Transferred, TransferStatus
from agent.ocpp.negotiate import dialect, offered
from agent.ocpp.rpc import JsonObject
from agent.ocpp.v16 import encode, results
from agent.ocpp.v16.measurands import MEASURANDS, configured, sampled_values, whole
from agent.ocpp.v16.transaction_data import thinned
from agent.ports import OutboxRow

WALL = datetime(2026, 11, 21, 20, 15, 3, 120_000, tzinfo=UTC)
AT = Instant(10.0, WALL)
ONE = EvseId(1)
S1 = SessionId("s1")
READING = Reading(
    AT,
    Wh(Decimal("1234567.89")),
    values=(
        Value("voltage_l1", Decimal("230.10000610351562")),
        Value("voltage_l2", Decimal(231)),
        Value("current_l1", Decimal("16.0")),
        Value("power_total", Decimal("3680.5")),
        Value("power_l1", Decimal("3680.5")),
        Value("energy_import_l1", Decimal("99.9")),
        Value("frequency", Decimal("50.01")),
        Value("power_factor", Decimal("0.98")),
        Value("temperature", Decimal(20)),
        Value("current_l2", Decimal("NaN")),
    ),
)
STARTED = SessionStarted(
    S1, 0, ONE, IdToken("04A1B2C3"), Profile.FLEET, StartTrigger.CARD, AT, READING, Reporting.REPORT, None, None
)
SAMPLED = SessionSampled(S1, 1, ONE, ReadingContext.PERIODIC, READING)
ENDED = SessionEnded(S1, 2, ONE, AT, Wh(Decimal("1242089.999")), StopReason.LOCAL, IdToken("B2"), (Quality.MEASURED,))


def row(fact: Fact, transaction: int | str | None = None, *, given_up: bool = False) -> OutboxRow:
    return OutboxRow(Queued(1, "m1", S1), fact, None, transaction, given_up)


def checked(encoded: Encoded | None) -> tuple[str, Any]:
    assert isinstance(encoded, Call)
    get_validator(2, encoded.action, "1.6").validate(encoded.payload)
    return encoded.action, encoded.payload


def measured(wanted: str, *values: Value) -> list[Any]:
    reading = replace(READING, values=values) if values else READING
    return sampled_values(reading, [wanted], ReadingContext.PERIODIC)


def test_boot_notification_names_the_station_within_the_lengths() -> None:
    identity = Identity("V" * 30, "M" * 30, "F" * 60, "S" * 30, "T" * 30, "N" * 30)
    action, payload = checked(encode.boot(identity))
    assert action == "BootNotification"
    assert {name: len(text) for name, text in payload.items()} == {
        "chargePointVendor": 20,
        "chargePointModel": 20,
        "firmwareVersion": 50,
        "chargePointSerialNumber": 25,
        "meterType": 25,
        "meterSerialNumber": 25,
    }
    _, payload = checked(encode.boot(Identity("v", "m", "1.0")))
    assert payload == {"chargePointVendor": "v", "chargePointModel": "m", "firmwareVersion": "1.0"}


def test_a_status_carries_its_own_time_and_short_words() -> None:
    report = ReportStatus(ONE, ConnectorStatus.FAULTED, ErrorCode.GROUND_FAILURE, AT, "i" * 60)
    assert checked(encode.status(report, WALL)) == (
        "StatusNotification",
        {
            "connectorId": 1,
            "errorCode": "GroundFailure",
            "status": "Faulted",
            "timestamp": "2026-11-21T20:15:03.120Z",
            "info": "i" * 50,
        },
    )


@pytest.mark.parametrize("status", ConnectorStatus)
@pytest.mark.parametrize("error", ErrorCode)
def test_every_status_and_error_is_one_of_the_schema(status: ConnectorStatus, error: ErrorCode) -> None:
    checked(encode.status(ReportStatus(ONE, status, error, AT), WALL))


def test_the_small_requests() -> None:
    assert checked(encode.heartbeat()) == ("Heartbeat", {})
    assert checked(encode.authorize(IdToken("abCD"))) == ("Authorize", {"idTag": "abCD"})
    assert checked(encode.transfer("v", "m", "{}")) == (
        "DataTransfer",
        {"vendorId": "v", "messageId": "m", "data": "{}"},
    )


def test_a_start_has_the_register_in_whole_wh_rounded_down() -> None:
    assert checked(encode.encode(row(STARTED), Settings())) == (
        "StartTransaction",
        {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 1234567, "timestamp": "2026-11-21T20:15:03.120Z"},
    )


def test_a_stop_names_its_transaction_reason_and_token() -> None:
    assert checked(encode.encode(row(ENDED, 42), Settings())) == (
        "StopTransaction",
        {
            "transactionId": 42,
            "meterStop": 1242089,
            "timestamp": "2026-11-21T20:15:03.120Z",
            "reason": "Local",
            "idTag": "B2",
        },
    )


@pytest.mark.parametrize("reason", StopReason)
def test_every_stop_reason_is_one_of_the_schema(reason: StopReason) -> None:
    _, payload = checked(encode.encode(row(replace(ENDED, reason=reason, id_token=None), 0), Settings()))
    assert payload["reason"] == reason.value
    assert "idTag" not in payload


@pytest.mark.parametrize("transaction", [0, -5, 2147483647])
def test_any_transaction_id_is_used_as_it_was_given(transaction: int) -> None:
    assert checked(encode.encode(row(ENDED, transaction), Settings()))[1]["transactionId"] == transaction
    assert checked(encode.encode(row(SAMPLED, transaction), Settings()))[1]["transactionId"] == transaction


def test_what_follows_a_start_waits_for_its_answer_and_is_minus_one_when_that_was_given_up() -> None:
    for fact in (SAMPLED, ENDED):
        assert encode.encode(row(fact), Settings()) == NotYet()
        assert checked(encode.encode(row(fact, given_up=True), Settings()))[1]["transactionId"] == -1
        assert checked(encode.encode(row(fact, 7, given_up=True), Settings()))[1]["transactionId"] == 7


def test_a_name_of_another_version_is_no_transaction_of_1_6() -> None:
    assert checked(encode.encode(row(ENDED, "uuid"), Settings()))[1]["transactionId"] == -1


def test_a_sample_writes_every_field_out() -> None:
    settings = Settings(sampled_measurands=("Energy.Active.Import.Register", "Voltage"))
    assert checked(encode.encode(row(SAMPLED, 42), settings)) == (
        "MeterValues",
        {
            "connectorId": 1,
            "transactionId": 42,
            "meterValue": [
                {
                    "timestamp": "2026-11-21T20:15:03.120Z",
                    "sampledValue": [
                        {
                            "value": "1234567",
                            "context": "Sample.Periodic",
                            "format": "Raw",
                            "measurand": "Energy.Active.Import.Register",
                            "location": "Outlet",
                            "unit": "Wh",
                        },
                        {
                            "value": "230.1",
                            "context": "Sample.Periodic",
                            "format": "Raw",
                            "measurand": "Voltage",
                            "location": "Outlet",
                            "phase": "L1-N",
                            "unit": "V",
                        },
                        {
                            "value": "231",
                            "context": "Sample.Periodic",
                            "format": "Raw",
                            "measurand": "Voltage",
                            "location": "Outlet",
                            "phase": "L2-N",
                            "unit": "V",
                        },
                    ],
                }
            ],
        },
    )


def test_the_defaults_make_a_valid_sample_without_what_the_meter_does_not_tell() -> None:
    _, payload = checked(encode.encode(row(SAMPLED, 42), Settings()))
    names = [value["measurand"] for value in payload["meterValue"][0]["sampledValue"]]
    assert "Current.Offered" not in names
    assert names.count("Current.Import") == 1


def test_a_sample_with_nothing_in_it_is_skipped() -> None:
    assert encode.encode(row(SAMPLED, 42), Settings(sampled_measurands=())) == Skip()
    assert encode.encode(row(SAMPLED, 42), Settings(sampled_measurands=("Current.Offered", "Nonsense"))) == Skip()


@pytest.mark.parametrize("context", [ReadingContext.OTHER, ReadingContext.INTERRUPTION_END])
def test_readings_between_the_samples_are_sent_only_while_sampling_is_on(context: ReadingContext) -> None:
    between = replace(SAMPLED, context=context)
    _, payload = checked(encode.encode(row(between, 42), Settings()))
    assert payload["meterValue"][0]["sampledValue"][0]["context"] == context.value
    assert encode.encode(row(between, 42), Settings(sample_interval_s=0)) == Skip()
    assert isinstance(encode.encode(row(SAMPLED, 42), Settings(sample_interval_s=0)), Call)


def test_facts_without_a_message_are_skipped() -> None:
    assert encode.encode(row(HeldReleased("ACME")), Settings()) == Skip()


def test_triggered_values_carry_their_context_and_a_transaction_only_where_there_is_one() -> None:
    _, payload = checked(encode.triggered(1, READING, None, Settings()))
    assert "transactionId" not in payload
    assert payload["meterValue"][0]["sampledValue"][0]["context"] == "Trigger"
    _, payload = checked(encode.triggered(1, READING, 5, Settings()))
    assert payload["transactionId"] == 5
    _, payload = checked(encode.triggered(1, READING, 5, Settings(sampled_measurands=())))
    (value,) = payload["meterValue"][0]["sampledValue"]
    assert value["measurand"] == "Energy.Active.Import.Register"


def test_a_suffix_picks_one_phase() -> None:
    assert [(v["value"], v["phase"]) for v in measured("Voltage.L1")] == [("230.1", "L1")]
    assert [(v["value"], v["phase"]) for v in measured("Voltage.L2-N")] == [("231", "L2-N")]
    assert measured("Voltage.L3") == []


def test_the_register_of_a_phase_is_sent_only_when_asked_for() -> None:
    assert [v["value"] for v in measured("Energy.Active.Import.Register")] == ["1234567"]
    by_phase = measured("Energy.Active.Import.Register.L1")
    assert [(v["value"], v["phase"]) for v in by_phase] == [("99", "L1")]


def test_a_sum_has_no_phase_and_comes_before_the_phases() -> None:
    assert [(v["value"], v.get("phase")) for v in measured("Power.Active.Import")] == [
        ("3680.5", None),
        ("3680.5", "L1"),
    ]


def test_power_is_split_into_import_and_export() -> None:
    exporting = Value("power_total", Decimal("-500.25"))
    assert [v["value"] for v in measured("Power.Active.Import", exporting)] == ["0"]
    assert [v["value"] for v in measured("Power.Active.Export", exporting)] == ["500.25"]
    own = Value("power_export", Decimal(7))
    assert [v["value"] for v in measured("Power.Active.Export", exporting, own)] == ["7"]


@pytest.mark.parametrize("name", ["Frequency", "Power.Factor"])
def test_measurands_without_a_unit_in_1_6_have_none(name: str) -> None:
    (value,) = measured(name)
    assert "unit" not in value


def test_every_measurand_of_the_table_is_valid_in_every_spelling() -> None:
    names = {source.value for about in MEASURANDS.values() for source in about.sources}
    reading = replace(READING, values=tuple(Value(name, Decimal("1.5")) for name in sorted(names)))
    for name, about in MEASURANDS.items():
        for wanted in (name, *(f"{name}.{s.phase}" for s in about.sources if s.phase)):
            assert configured(wanted.upper()) == wanted
            settings = Settings(sampled_measurands=(wanted,))
            checked(encode.encode(row(replace(SAMPLED, reading=reading), 1), settings))


def test_numbers_are_plain_and_the_register_is_cut() -> None:
    assert [v["value"] for v in measured("Current.Import", Value("current_l1", Decimal("1E+2")))] == ["100"]
    assert [v["value"] for v in measured("Current.Import", Value("current_l1", Decimal("-0.0001")))] == ["0"]
    assert whole(Wh(Decimal("0.999"))) == 0


def test_a_boot_answer_is_read_with_whatever_is_usable() -> None:
    told = {"status": "Accepted", "currentTime": "2027-01-02T03:04:05.1234567+01:00", "interval": 300.0}
    assert results.booted({**told, "more": 1}) == Booted(
        Registration.ACCEPTED, datetime(2027, 1, 2, 2, 4, 5, 123456, tzinfo=UTC), 300
    )
    for wrong in (-5, "60", None, True, 1e400):
        assert results.booted({"status": "Pending", "interval": wrong}) == Booted(Registration.PENDING, None, 0)
    statuses: list[object] = ["accepted", None, 7, {}]
    for status in statuses:
        with pytest.raises(ValueError, match="status"):
            results.booted({"status": status})


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", 17, None, "0001-01-01T00:00:00+14:00"])
def test_what_is_no_time_is_none(text: object) -> None:
    assert results.told_time({"currentTime": text}) is None


def test_times_are_read_with_any_fraction_offset_and_case() -> None:
    expected = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    for text in ("2026-01-02T03:04:05Z", "2026-01-02t03:04:05z", "2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05"):
        assert results.told_time({"currentTime": text}) == expected


def test_a_verdict_has_status_expiry_and_group() -> None:
    info = {"status": "Blocked", "expiryDate": "2026-12-01T00:00:00Z", "parentIdTag": "P"}
    verdict = results.verdict({"idTagInfo": info})
    assert verdict.status is TokenStatus.BLOCKED
    assert verdict.group == IdToken("P")
    assert verdict.expiry is not None
    assert verdict.expiry.wall == datetime(2026, 12, 1, tzinfo=UTC)
    plain = {"status": "Accepted", "expiryDate": "never", "parentIdTag": "x" * 21}
    assert results.verdict({"idTagInfo": plain}) == TokenInfo(TokenStatus.ACCEPTED)
    unusable: list[JsonObject] = [{}, {"idTagInfo": None}, {"idTagInfo": {"status": "Maybe"}}]
    for wrong in unusable:
        with pytest.raises(ValueError, match="idTagInfo"):
            results.verdict(wrong)


def test_a_start_answer_must_name_the_transaction_and_may_lack_the_verdict() -> None:
    told = {"transactionId": -5, "idTagInfo": {"status": "Invalid"}}
    assert results.taken(STARTED, told) == Taken(-5, IdToken("04A1B2C3"), TokenInfo(TokenStatus.INVALID))
    assert results.taken(STARTED, {"transactionId": 0}) == Taken(0, IdToken("04A1B2C3"))
    for wrong in (None, "7", True, 1.5, 2**70):
        with pytest.raises(ValueError, match="transaction id"):
            results.taken(STARTED, {"transactionId": wrong})


def test_a_stop_answer_may_tell_of_the_token_that_stopped() -> None:
    told: JsonObject = {"idTagInfo": {"status": "Expired"}}
    assert results.taken(ENDED, told) == Taken(id_token=IdToken("B2"), info=TokenInfo(TokenStatus.EXPIRED))
    assert results.taken(replace(ENDED, id_token=None), told) == Taken()
    assert results.taken(SAMPLED, {}) == Taken()


def test_a_transfer_answer_needs_a_status() -> None:
    assert results.transferred({"status": "Accepted", "data": 7}) == Transferred(TransferStatus.ACCEPTED, None)
    with pytest.raises(ValueError, match="status"):
        results.transferred({"status": "Fine"})


def test_only_what_is_spoken_is_offered() -> None:
    assert offered(["ocpp2.0.1", "ocpp1.6"]) == ("ocpp1.6",)
    assert dialect("ocpp1.6").subprotocol == "ocpp1.6"


def test_a_clock_aligned_sample_has_its_own_measurands_with_and_without_a_transaction() -> None:
    settings = Settings(aligned_measurands=("Energy.Active.Import.Register", "Frequency"), sampled_measurands=())
    in_session = replace(SAMPLED, context=ReadingContext.CLOCK)
    for fact, transaction in ((in_session, 42), (MeterSampled(ONE, ReadingContext.CLOCK, READING), None)):
        action, payload = checked(encode.encode(row(fact, transaction), settings))
        assert action == "MeterValues"
        assert payload.get("transactionId") == transaction
        (values,) = payload["meterValue"]
        assert values["timestamp"] == "2026-11-21T20:15:03.120Z"
        assert [v["measurand"] for v in values["sampledValue"]] == list(settings.aligned_measurands)
        assert {v["context"] for v in values["sampledValue"]} == {"Sample.Clock"}
    assert (
        encode.encode(row(MeterSampled(ONE, ReadingContext.CLOCK, READING)), Settings(aligned_measurands=())) == Skip()
    )


def stopped(settings: Settings, *history: SessionStarted | SessionSampled, end: SessionEnded = ENDED) -> list[Any]:
    _, payload = checked(encode.encode(replace(row(end, 42), history=history), settings))
    assert len(json.dumps(payload)) < 65_536
    data: list[Any] = payload.get("transactionData", [])
    return data


def later(seconds: int, context: ReadingContext = ReadingContext.PERIODIC) -> SessionSampled:
    at = Instant(10.0 + seconds, WALL + timedelta(seconds=seconds))
    return SessionSampled(S1, seconds, ONE, context, replace(READING, at=at))


def contexts(data: list[Any]) -> list[str]:
    return [entry["sampledValue"][0]["context"] for entry in data]


def test_a_stop_carries_begin_samples_and_end_where_measurands_are_asked_for() -> None:
    history = (STARTED, later(60), later(70, ReadingContext.OTHER), later(75, ReadingContext.CLOCK), later(120))
    end = replace(
        ENDED, at=Instant(200.0, WALL + timedelta(seconds=190)), reading=replace(READING, at=later(195).reading.at)
    )
    assert stopped(Settings(), *history) == []
    data = stopped(
        Settings(stop_sampled_measurands=("Energy.Active.Import.Register", "Voltage.L1-N")), *history, end=end
    )
    assert contexts(data) == ["Transaction.Begin", "Sample.Periodic", "Sample.Periodic", "Transaction.End"]
    assert [v["measurand"] for v in data[-1]["sampledValue"]] == ["Energy.Active.Import.Register", "Voltage"]
    assert data[0]["timestamp"] == "2026-11-21T20:15:03.120Z"
    assert data[-1]["timestamp"] == "2026-11-21T20:18:13.120Z"
    assert data[-1]["sampledValue"][0]["value"] == "1242089"
    data = stopped(Settings(stop_aligned_measurands=("Energy.Active.Import.Register",)), *history, end=end)
    assert contexts(data) == ["Sample.Clock"]


def test_a_stop_without_a_last_reading_has_the_register_it_was_closed_on() -> None:
    data = stopped(Settings(stop_sampled_measurands=("Energy.Active.Import.Register", "Voltage")), STARTED)
    assert [len(entry["sampledValue"]) for entry in data] == [3, 1]
    assert data[-1]["sampledValue"][0]["value"] == "1242089"


def test_too_many_samples_are_thinned_evenly_and_begin_and_end_stay() -> None:
    many = tuple(later(n) for n in range(1, 5000))
    wanted = ("Energy.Active.Import.Register", "Voltage", "Current.Import", "Power.Active.Import")
    data = stopped(Settings(stop_sampled_measurands=wanted), STARTED, *many)
    assert contexts(data)[0] == "Transaction.Begin"
    assert contexts(data)[-1] == "Transaction.End"
    assert 40 < len(data) <= 1000
    times = [datetime.fromisoformat(entry["timestamp"]) for entry in data]
    gaps = [(b - a).total_seconds() for a, b in pairwise(times[1:-1])]
    assert max(gaps) <= 2 * min(gaps)


@given(st.integers(0, 60), st.integers(-1, 70), st.integers(0, 4000))
def test_thinning_keeps_order_and_bounds(count: int, most: int, size: int) -> None:
    values: list[JsonObject] = [{"n": n} for n in range(count)]
    kept = thinned(values, most, size)
    assert [v for v in values if v in kept] == kept
    assert not kept or (len(kept) <= most and len(json.dumps(kept)) <= size)
    if count <= most and len(json.dumps(values)) <= size:
        assert kept == values

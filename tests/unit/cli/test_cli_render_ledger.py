"""Sessions and cards as a person reads them: golden tables, local times with daylight saving, cards masked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.cli.render import local_zone
from agent.cli.render_ledger import cards_table, session_text, sessions_table

ZONE = local_zone("Europe/Amsterdam")

Json = dict[str, Any]

#: The contract's example (section 3), with what ``sessions show`` adds.
CLOSED: Json = json.loads("""
{"id": "019a1234-0000-7000-8000-000000000001", "connector": 1, "transaction_id": 42, "id_tag": "04A1B2C3D4E5F6",
 "card": "NL-WEX-CNQPWFBEK", "profile": "fleet",
 "started_at": "2026-11-21T20:15:03.120Z", "stopped_at": "2026-11-21T23:41:59.000Z",
 "clock": "synchronised",
 "meter_start_wh": 1234567.0, "meter_stop_wh": 1242089.0, "energy_wh": 7522.0,
 "stop_reason": "EVDisconnected", "state": "closed", "reporting": "reported",
 "quality": ["measured"], "delivery": [{"to": "cloud", "state": "confirmed", "error": null}],
 "cost": {"currency": "EUR", "excl_vat": "2.18", "vat": "0.46", "incl_vat": "2.64",
          "energy": "2.18", "time": "0.00", "fixed": "0.00", "parking": "0.00",
          "reservation": "0.00", "surcharge": "0.00"},
 "refund": {"percentage": "100", "amount": "2.64"},
 "periods": [{"start": "2026-11-21T20:15:03.120Z", "energy_wh": 7522.0, "price": "0.29"}],
 "odometer_km": 12345, "note": null, "duration_s": "12415.880"}
""")
OPEN: Json = {
    **CLOSED,
    "id": "019a1235-0000-7000-8000-000000000002",
    "transaction_id": None,
    "card": None,
    "stopped_at": None,
    "duration_s": None,
    "meter_stop_wh": None,
    "energy_wh": None,
    "stop_reason": None,
    "state": "open",
    "reporting": "pending",
    "cost": None,
    "refund": None,
    "periods": [],
    "odometer_km": None,
    "note": "long trip",
    "quality": ["measured", "meter-gap"],
    "delivery": [
        {"to": "cloud", "state": "refused", "error": "InternalError: no such transaction"},
        {"to": "ere", "state": "queued", "error": None},
    ],
}


def test_the_table_reads_like_this() -> None:
    assert sessions_table([CLOSED, OPEN], ZONE) == (
        "ID        START             DURATION    KWH  CARD                  COST    REFUND  REPORTING  QUALITY\n"
        "019a1234  2026-11-21 21:15   3:26:56  7.522  NL-WEX-CNQPWFBEK  2.64 EUR  2.64 EUR  reported   measured\n"
        "019a1235  2026-11-21 21:15   running      -  **********E5F6           -         -  pending    "
        "measured, meter-gap\n"
    )


def test_a_ledger_without_sessions_says_so() -> None:
    assert sessions_table([], ZONE) == "no sessions yet"


def test_ids_are_cut_where_they_still_tell_the_sessions_apart() -> None:
    close = {**CLOSED, "id": "019a1234-00ff-7000-8000-000000000001"}
    lines = sessions_table([CLOSED, close], ZONE).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["019a1234-000", "019a1234-00f"]


def test_one_session_in_full_reads_like_this() -> None:
    assert session_text(CLOSED, ZONE) == (
        "  session      019a1234-0000-7000-8000-000000000001, closed\n"
        "  connector    1\n"
        "  card         NL-WEX-CNQPWFBEK, fleet\n"
        "  start        2026-11-21 21:15\n"
        "  end          2026-11-22 00:41, EVDisconnected\n"
        "  duration     3:26:56, clock synchronised\n"
        "  meter        1234.567 kWh at the start, 1242.089 at the end\n"
        "  energy       7.522 kWh, measured\n"
        "  cost         2.64 EUR incl. 0.46 VAT; excl. VAT: energy 2.18\n"
        "  refund       2.64 EUR, 100 %\n"
        "    from       2026-11-21 21:15: 7.522 kWh at 0.29 per kWh\n"
        "  transaction  42\n"
        "  odometer km  12345\n"
        "  reporting    reported\n"
        "    to cloud   confirmed\n"
    )


def test_an_open_session_tells_why_it_was_not_taken() -> None:
    assert session_text(OPEN, ZONE) == (
        "  session      019a1235-0000-7000-8000-000000000002, open\n"
        "  connector    1\n"
        "  card         **********E5F6, fleet\n"
        "  start        2026-11-21 21:15\n"
        "  end          still running\n"
        "  duration     running, clock synchronised\n"
        "  meter        1234.567 kWh at the start, - at the end\n"
        "! energy       - kWh, measured, meter-gap\n"
        "  cost         not known: the session is open, or there is no tariff\n"
        "  note         long trip\n"
        "  reporting    pending\n"
        "!   to cloud   refused: InternalError: no such transaction\n"
        "    to ere     queued\n"
    )


def test_a_card_without_number_is_masked_in_both_views() -> None:
    assert "04A1B2C3D4" not in sessions_table([OPEN], ZONE) + session_text(OPEN, ZONE)


def test_the_longest_month_and_the_largest_register_keep_the_columns() -> None:
    long = {**CLOSED, "energy_wh": 99_999_999.5, "duration_s": "2592000.000"}
    head, *rows = sessions_table([CLOSED, long], ZONE).splitlines()
    assert rows[1].split()[3:5] == ["720:00:00", "100000.000"]
    assert {row.index("NL-WEX") for row in rows} == {head.index("CARD")}


@pytest.mark.parametrize(
    ("utc", "local"),
    [
        ("2026-10-25T00:30:00.000Z", "2026-10-25 02:30"),  # the hour that comes twice
        ("2026-10-25T01:30:00.000Z", "2026-10-25 02:30"),
        ("2026-07-01T22:30:00.000Z", "2026-07-02 00:30"),
    ],
)
def test_times_are_local(utc: str, local: str) -> None:
    assert local in sessions_table([{**CLOSED, "started_at": utc}], ZONE)


def test_a_duration_does_not_follow_the_wall_clock() -> None:
    corrected = {**CLOSED, "stopped_at": CLOSED["started_at"]}
    assert "  duration     3:26:56, clock" in session_text(corrected, ZONE)
    assert "  duration     -, clock" in session_text({**CLOSED, "duration_s": None}, ZONE)


def test_a_failed_report_is_marked() -> None:
    assert "! reporting    failed\n" in session_text({**CLOSED, "reporting": "failed"}, ZONE)


def test_cards_are_listed_with_the_number_that_other_commands_take() -> None:
    cards: list[Json] = [
        {
            "id_tag": "04A1B2C3D4E5F6",
            "card": "NL-WEX-CNQPWFBEK",
            "ema_id": None,
            "name": "Kim\x1b[31m",
            "profile": "fleet",
            "status": "blocked",
            "reason": "lost",
        },
        {
            "id_tag": "0011",
            "card": None,
            "ema_id": None,
            "name": None,
            "profile": "private",
            "status": "active",
            "reason": None,
        },
    ]
    assert cards_table(cards) == (
        "UID             NUMBER            EMA-ID  NAME      PROFILE  STATUS   REASON\n"
        "04A1B2C3D4E5F6  NL-WEX-CNQPWFBEK  -       Kim?[31m  fleet    blocked  lost\n"
        "0011            -                 -       -         private  active   -\n"
    )


def test_without_cards_the_way_to_add_one_is_told() -> None:
    assert cards_table([]) == "no cards are known here: add one with `wallbox-agent cards add UID`"

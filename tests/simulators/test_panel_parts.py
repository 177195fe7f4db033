"""The parts of the panel: accounts, markup, forms, rates, distribution, and what is to be paid."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from simulators.csms.billing import BillState, bill, by_employee, ended_in, pay, settle, sums, totals
from simulators.csms.book import readings_of
from simulators.csms.cards import due, failed, standing
from simulators.csms.iban import grouped, iban
from simulators.csms.rates import Slot, cost, day_night, flat, hourly
from simulators.csms.show import without_cards
from simulators.csms.state import Company, Delivery, Device, Employee, Reading, Session, State, Token, TokenStatus
from simulators.errors import Misuse
from simulators.panel.forms import Form, begin_of, day, end_of, one_of
from simulators.panel.markup import h, joined
from simulators.panel.rates import described, tariff

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=AMSTERDAM).astimezone(UTC)


# -- account numbers


@pytest.mark.parametrize(
    "number",
    ["NL91 ABNA 0417 1643 00", "de89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "NO93 8601 1117 947"],
)
def test_an_iban_with_right_check_digits_is_taken(number: str) -> None:
    assert iban(number) == number.replace(" ", "").upper()
    assert iban(grouped(iban(number))) == iban(number)


@pytest.mark.parametrize(
    ("number", "why"),
    [
        ("NL91 ABNA 0417 1643 01", "check digits of NL91 ABNA 0417 1643 01 are wrong"),
        ("NL91 ABNA 0417 1634 00", "check digits"),
        ("NL91 ABNA 0417 1643 0", "an IBAN of NL has 18 characters, this one 17"),
        ("91NL ABNA 0417 1643 00", "is no IBAN"),
        ("", "is no IBAN"),
        ("NL91-ABNA-0417-1643-00", "is no IBAN"),
        ("٩٩91 ABNA 0417 1643 00", "is no IBAN"),
    ],
)
def test_a_wrong_iban_is_refused_with_what_is_wrong(number: str, why: str) -> None:
    with pytest.raises(Misuse, match=why):
        iban(number)


# -- markup and forms


def test_whatever_is_put_into_a_page_is_text() -> None:
    evil = "<script>alert('x')</script>\"&"
    page = h.td(evil, None, 3, [h.b(evil)], title=evil, hidden=True, open=False)
    assert "<script>" not in page
    assert page.startswith('<td title="&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&quot;&amp;" hidden>')
    assert page.endswith("</b></td>")
    assert joined(h.br(), "a") == "<br>a"


def test_fields_are_read_by_kind_and_refused_by_name() -> None:
    form = Form({"n": " 66,5 ", "t": " Eva ", "f": "yes", "c": "23:59", "k": "b"})
    assert form.decimal("n", "refund") == Decimal("66.5")
    assert (form.text("t", "name"), form.flag("f"), form.flag("g")) == ("Eva", True, False)
    assert (form.clock("c", "from"), form.choice("k", "kind", one_of("ab"))) == ("23:59", "b")
    assert form.maybe("x", "price") is None
    for wrong in ("101", "-1", "1e1", "NaN", "1.23456", "٣", "1 2", ""):
        with pytest.raises(Misuse, match="refund: "):
            Form({"n": wrong}).decimal("n", "refund")
    for text in ("x" * 101, "a\nb", "\x1b[31m"):
        with pytest.raises(Misuse, match="name: one line of at most 100"):
            Form({"t": text}).text("t", "name")
    for clock in ("24:00", "7:00", "noon"):
        with pytest.raises(Misuse, match="no time of day"):
            Form({"c": clock}).clock("c", "from")
    with pytest.raises(Misuse, match="kind: 'z' cannot be chosen"):
        Form({"k": "z"}).choice("k", "kind", one_of("ab"))


def test_days_begin_and_end_by_local_time() -> None:
    assert day("", "from") is None
    assert begin_of(day("2026-07-01", "from"), AMSTERDAM) == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert end_of(date(2026, 12, 31), AMSTERDAM) == datetime(2026, 12, 31, 23, tzinfo=UTC)
    for wrong in ("soon", "31-12-2026", "0001-01-01", "9999-12-31"):
        with pytest.raises(Misuse, match=r"from: .* is no day"):
            day(wrong, "from")


# -- rates


def test_a_rate_by_the_hour_has_weekdays_and_weekends_apart() -> None:
    typed = {"price": "0.20", "weekend": "0.15", "vat": "21", "currency": "eur", "from1": "07:00", "to1": "23:00"}
    made, kept = tariff(Form(typed | {"price1": "0.30", "weekend1": "0,25"}), "Day")
    assert made["id"] == "Day"
    assert (made["currency"], kept["price1"]) == ("EUR", "0.30")
    assert described(made) == [
        "0.25 per kWh 07:00 to 23:00 weekends",
        "0.3 per kWh 07:00 to 23:00",
        "0.15 per kWh weekends",
        "0.2 per kWh",
    ]
    for start, price in {
        "2026-11-24 12:00": "0.30",  # a Tuesday
        "2026-11-24 23:30": "0.20",
        "2026-11-28 12:00": "0.25",
        "2026-11-29 03:00": "0.15",
    }.items():
        begun = at(start)
        read = [Reading(begun, Decimal(0)), Reading(begun + timedelta(minutes=10), Decimal(10_000))]
        assert cost(made, read, AMSTERDAM).excl_vat == Decimal(price) * 10, start


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ({"price": ""}, "price per kWh: nothing is typed"),
        ({"vat": "many"}, "VAT: 'many' is no number"),
        ({"currency": "E1R"}, "currency: 'E1R' is not three letters"),
        ({"from1": "07:00"}, "time slot 1: hours without a price"),
        ({"price2": "0.1"}, "time slot 2: nothing is typed"),
        ({"price1": "0.1", "from1": "07:00", "to1": "07:00"}, "time slot 1: it ends when it begins"),
    ],
)
def test_a_rate_that_makes_no_sense_is_refused(typed: dict[str, str], why: str) -> None:
    with pytest.raises(Misuse, match=why):
        tariff(Form({"price": "0.2", "vat": "21", "currency": "EUR"} | typed), "R")


def test_a_rate_of_the_command_line_is_described_in_short() -> None:
    assert described(day_night("0.34", "0.27", "21")) == ["0.34 per kWh 07:00 to 23:00 weekdays", "0.27 per kWh"]


def test_a_night_that_runs_past_midnight_is_one_slot() -> None:
    made = hourly("Night", "EUR", "0", slots=[Slot("23:00", "07:00", "0.10")], rest=Slot("", "", "0.30"))
    read = [Reading(at("2026-11-24 23:30"), Decimal(0)), Reading(at("2026-11-25 06:30"), Decimal(10_000))]
    assert cost(made, read, AMSTERDAM).excl_vat == Decimal("1.00")


def test_what_was_typed_as_json_at_the_console_breaks_no_page() -> None:
    assert described({"elements": [{"price_components": [{"type": "ENERGY"}]}]}) == ["cannot be read"]
    broken = session(1, "2026-11-05 12:00", tariff={"a": 1})
    assert bill(State(), broken, AMSTERDAM).why == "tariff or refund cannot be read"
    broken = session(1, "2026-11-05 12:00", refund_percentage="many")
    assert bill(State(), broken, AMSTERDAM).refund is None


# -- what chargers have to be sent


def distribution() -> tuple[State, Device]:
    state = State(companies={"A-1": Company("A-1", "A"), "B-1": Company("B-1", "B")})
    device = Device("CP1", "A-1", at("2026-11-01"), "linked")
    state.tokens = {uid: Token(uid, company=owner) for uid, owner in (("AA", "A-1"), ("BB", "B-1"), ("CC", ""))}
    return state, device


def test_a_charger_is_sent_the_cards_of_its_company_and_those_of_all() -> None:
    state, device = distribution()
    assert [token.uid for token in due(state, device)] == ["AA", "CC"]
    device.state = "pending"
    assert due(state, device) == []


def test_what_failed_waits_for_a_retry_until_the_card_changes() -> None:
    state, device = distribution()
    token = state.tokens["AA"]
    sent = standing(state, "CP1", token).sent
    state.deliveries["CP1 AA"] = Delivery("CP1", "AA", sent, "Failed", at("2026-11-01"), "full")
    assert [each.uid for each in due(state, device)] == ["CC"]
    assert [each.uid for each in failed(state, device)] == ["AA"]
    token.number = "NL-1"
    assert [each.uid for each in due(state, device)] == ["AA", "CC"]
    assert failed(state, device) == []


def test_a_card_deactivated_before_anybody_knew_it_is_not_sent() -> None:
    state, device = distribution()
    state.tokens["AA"].status = TokenStatus.DEACTIVATED
    assert [each.uid for each in due(state, device)] == ["CC"]
    state.deliveries["CP1 AA"] = Delivery("CP1", "AA", {"uid": "AA"}, "Taken", at("2026-11-01"))
    assert [each.uid for each in due(state, device)] == ["AA", "CC"]


def test_card_numbers_in_messages_are_masked_on_the_screen() -> None:
    assert without_cards('{"cards": [{"uid": "62E3086CED", "replaces":"0A11223344"}]}') == (
        '{"cards": [{"uid": "...6CED", "replaces":"...3344"}]}'
    )


# -- what is to be paid


def session(number: int, stop: str, **changes: object) -> Session:
    one = Session("CP1", 1, number, "04A1B2C3", at(stop) - timedelta(hours=1), Decimal(0), f"s{number}")
    one.tariff, one.stopped_at, one.meter_stop_wh = flat("1.00", "0"), at(stop), Decimal(1000)
    one.stop_message = f"e{number}"
    for name, value in changes.items():
        setattr(one, name, value)
    return one


def two_employees() -> State:
    state = State(companies={"A-1": Company("A-1", "A")})
    state.employees = {id_: Employee(id_, "A-1", id_, iban="NL91ABNA0417164300") for id_ in ("E1", "E2")}
    state.sessions = [
        session(1, "2026-10-31 23:59:59", company="A-1", employee="E1"),
        session(2, "2026-11-01 00:00:00", company="A-1", employee="E1"),
        session(3, "2026-10-05 12:00", company="A-1", employee="E2", tariff=flat("1.00", "0", "CHF")),
        session(4, "2026-10-05 12:00", company="A-1", employee="E2"),
        session(5, "2026-10-05 12:00", company="A-1", employee="E2", tariff=None),
        session(6, "2026-10-05 12:00", company="B-1"),
    ]
    return state


def test_a_month_has_a_row_per_employee_and_currency_and_nothing_twice() -> None:
    state = two_employees()
    bills = ended_in(state, "2026-10", AMSTERDAM, company="A-1")
    rows = by_employee(state, bills, running=False)
    assert [(row.employee, row.currency, row.sessions, row.refund, row.unpriced) for row in rows] == [
        ("E1", "EUR", 1, Decimal("1.00"), 0),
        ("E2", "CHF", 2, Decimal("1.00"), 1),
        ("E2", "EUR", 1, Decimal("1.00"), 0),
    ]
    assert [(row.currency, row.sessions, row.refund) for row in totals(bills, running=False)] == [
        ("CHF", 2, Decimal("1.00")),
        ("EUR", 2, Decimal("2.00")),
    ]
    assert sum(row.sessions for row in rows) == len(bills) == 4


def test_whose_home_it_is_counts_before_whose_card_it_was() -> None:
    state = two_employees()
    state.sessions = [session(1, "2026-10-05 12:00")]
    state.tokens["04A1B2C3"] = Token("04A1B2C3", company="A-1", employee="E2")
    (row,) = by_employee(state, ended_in(state, "2026-10", AMSTERDAM, company="A-1"), running=False)
    assert row.employee == "E2"
    state.devices["CP1"] = Device("CP1", "A-1", at("2026-10-01"), "linked", employee="E1")
    (row,) = by_employee(state, ended_in(state, "2026-10", AMSTERDAM, company="A-1"), running=False)
    assert row.employee == "E1"


def test_a_month_is_paid_automatically_once_it_is_over_and_only_once() -> None:
    state = two_employees()
    for each in state.sessions:
        each.automatic_payment = True
    settle(state, AMSTERDAM, at("2026-10-31 23:59:59"))
    assert state.payments == []
    settle(state, AMSTERDAM, at("2026-11-01 00:00:00"))
    settle(state, AMSTERDAM, at("2026-11-01 00:00:01"))
    paid = {(each.company, each.employee, each.currency): each.amount for each in state.payments}
    assert paid == {
        ("A-1", "E1", "EUR"): Decimal("1.00"),
        ("A-1", "E2", "CHF"): Decimal("1.00"),
        ("A-1", "E2", "EUR"): Decimal("1.00"),
        ("B-1", "", "EUR"): Decimal("1.00"),
    }
    assert len(state.payments) == 4
    assert state.sessions[1].paid is None


def test_nothing_is_paid_automatically_to_nobody_or_without_an_account() -> None:
    state, later = two_employees(), at("2026-11-02 12:00")
    state.sessions = [session(1, "2026-10-05 12:00", company="A-1"), session(2, "2026-10-05 12:00", employee="E2")]
    for each in state.sessions:
        each.company, each.automatic_payment = "A-1", True
    state.employees["E2"].iban = ""
    settle(state, AMSTERDAM, later)
    assert state.payments == []
    state.employees["E2"].iban = "NL91ABNA0417164300"
    state.tokens["04A1B2C3"] = Token("04A1B2C3", company="A-1", employee="E1")
    settle(state, AMSTERDAM, later)
    assert [(each.employee, each.sessions) for each in state.payments] == [("E1", [1]), ("E2", [2])]


def test_a_session_that_arrives_after_its_month_was_paid_is_still_to_be_paid() -> None:
    state = two_employees()
    now = at("2026-11-02 12:00")
    (first,) = pay(state, ended_in(state, "2026-10", AMSTERDAM)[:1], "2026-10", now=now)
    assert (first.amount, first.sessions) == (Decimal("1.00"), [1])
    state.sessions.append(session(7, "2026-10-30 12:00", company="A-1", employee="E1"))
    mine = [each for each in ended_in(state, "2026-10", AMSTERDAM) if each.session.employee == "E1"]
    assert sums(mine, running=False).state is BillState.DUE
    (second,) = pay(state, mine, "2026-10", now=now)
    assert (second.amount, second.sessions) == (Decimal("1.00"), [7])
    row = sums(mine, running=False)
    assert (row.state, row.refund, row.paid) == (BillState.PAID, Decimal("2.00"), Decimal("2.00"))


def test_a_reading_that_comes_late_leaves_the_difference_to_be_paid() -> None:
    state = two_employees()
    one = state.sessions[0]
    pay(state, ended_in(state, "2026-10", AMSTERDAM)[:1], "2026-10", now=at("2026-11-02 12:00"))
    one.tariff = flat("1.50", "0")
    assert readings_of(one)
    mine = [each for each in ended_in(state, "2026-10", AMSTERDAM) if each.session is one]
    (payment,) = pay(state, mine, "2026-10", now=at("2026-11-03 12:00"))
    assert (payment.amount, one.paid) == (Decimal("0.50"), Decimal("1.50"))

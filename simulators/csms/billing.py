"""What sessions cost the employer, and the summary of a month."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from simulators.csms.book import readings_of
from simulators.csms.rates import Cost, Unpriceable, cost, refund
from simulators.csms.state import Payment, Session, State
from simulators.errors import Misuse


@dataclass(frozen=True, slots=True)
class Bill:
    """A session with its price. cost and refund: None where it still runs or cannot be priced, then ``why`` says so."""

    session: Session
    card: str
    cost: Cost | None
    refund: Decimal | None
    why: str = ""


class BillState(StrEnum):
    """Of a month: it runs, has to be paid, is paid."""

    OPEN = "in progress"
    DUE = "pending"
    PAID = "completed"


@dataclass(frozen=True, slots=True)
class Row:
    """Sums over sessions: of a card at a station, or of an employee; what is not summed up by is empty.

    paid: how much of the refund is paid. unpriced: sessions that are in no amount.
    """

    station: str
    card: str
    employee: str
    currency: str
    sessions: int
    energy_wh: Decimal
    excl_vat: Decimal
    vat: Decimal
    incl_vat: Decimal
    refund: Decimal
    paid: Decimal
    unpriced: int
    automatic: bool
    state: BillState


@dataclass(frozen=True, slots=True)
class Summary:
    """A month: a row per station and card, and their sum. unpriced: sessions that are in no amount."""

    month: str
    rows: tuple[Row, ...]
    total: Row
    unpriced: int


def bill(state: State, session: Session, zone: ZoneInfo) -> Bill:
    """Price a session by the terms it began with."""
    token = state.tokens.get(session.id_tag.upper())
    card = token.number if token is not None and token.number else session.id_tag
    if session.stopped_at is None:
        return Bill(session, card, None, None, "running")
    if session.tariff is None:
        return Bill(session, card, None, None, "no tariff")
    try:
        price = cost(session.tariff, readings_of(session), zone)
        return Bill(session, card, price, refund(price, session.refund_percentage))
    except Unpriceable as reason:
        return Bill(session, card, None, None, str(reason))
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):  # typed at the console as JSON
        return Bill(session, card, None, None, "tariff or refund cannot be read")


def company_of(state: State, session: Session) -> str:
    """Return the code of the company that a session is reported to: of its charger, else of its card; empty: none."""
    device, token = state.devices.get(session.station), state.tokens.get(session.id_tag.upper())
    return session.company or (device and device.company) or (token and token.company) or ""


def employee_of(state: State, session: Session) -> str:
    """Return the id of who is paid for a session: at whose home it was, else whose card it was; empty: nobody."""
    device, token = state.devices.get(session.station), state.tokens.get(session.id_tag.upper())
    return session.employee or (device and device.employee) or (token and token.employee) or ""


def month_of(at: datetime | None, zone: ZoneInfo) -> str:
    """Return the month of a moment, local time: ``2026-11``; empty for none."""
    return "" if at is None else f"{at.astimezone(zone):%Y-%m}"


def ended_in(state: State, month: str, zone: ZoneInfo, *, company: str | None = None) -> list[Bill]:
    """Return the sessions that ended in a month, local time; of all companies, or of one. Raises Misuse: no month."""
    _check(month)
    mine = [session for session in state.sessions if month_of(session.stopped_at, zone) == month]
    return [bill(state, each, zone) for each in mine if company is None or company_of(state, each) == company]


def summary(state: State, month: str, zone: ZoneInfo, now: datetime) -> Summary:
    """Return the month of sessions that ended in it, local time. month: ``2026-11``. Raises Misuse."""
    settle(state, zone, now)
    bills = ended_in(state, month, zone)
    running = month >= month_of(now, zone)
    places: dict[tuple[str, str], list[Bill]] = {}
    for each in bills:
        places.setdefault((each.session.station, each.card), []).append(each)
    rows = [sums(chosen, running=running, station=station, card=card) for (station, card), chosen in places.items()]
    ordered = tuple(sorted(rows, key=lambda row: (row.station, row.card)))
    total = sums(bills, running=running, card="total")
    return Summary(month, ordered, total, total.unpriced)


def by_employee(state: State, bills: Iterable[Bill], *, running: bool) -> list[Row]:
    """Return a row per employee and currency, by the id of the employee; sessions without a price are in each's first.

    running: the month that they ended in is not over.
    """
    whose: dict[tuple[str, str], list[Bill]] = {}
    bare: dict[str, list[Bill]] = {}
    for each in bills:
        employee = employee_of(state, each.session)
        if each.cost is None:
            bare.setdefault(employee, []).append(each)
        else:
            whose.setdefault((employee, each.cost.currency), []).append(each)
    for employee, unpriced in bare.items():
        key = min((key for key in whose if key[0] == employee), default=(employee, ""))
        whose.setdefault(key, []).extend(unpriced)
    return [sums(whose[key], running=running, employee=key[0], currency=key[1]) for key in sorted(whose)]


def totals(bills: Iterable[Bill], *, running: bool) -> list[Row]:
    """Return the sums of all, a row per currency."""
    of: dict[str, list[Bill]] = {}
    for each in bills:
        of.setdefault("" if each.cost is None else each.cost.currency, []).append(each)
    bare = of.pop("", [])
    if bare:
        of.setdefault(min(of, default=""), []).extend(bare)
    return [sums(of[currency], running=running, currency=currency) for currency in sorted(of)]


def sums(
    bills: list[Bill], *, running: bool, station: str = "", card: str = "", employee: str = "", currency: str = ""
) -> Row:
    """Return the sums of bills, and what state they are in together."""
    costs = [each.cost for each in bills if each.cost is not None]
    return Row(
        station=station,
        card=card,
        employee=employee,
        currency=currency,
        sessions=len(bills),
        energy_wh=_sum(each.session.energy_wh for each in bills),
        excl_vat=_sum(each.excl_vat for each in costs),
        vat=_sum(each.vat for each in costs),
        incl_vat=_sum(each.incl_vat for each in costs),
        refund=_sum(each.refund for each in bills),
        paid=_sum(each.session.paid for each in bills),
        unpriced=sum(each.cost is None for each in bills),
        automatic=bool(bills) and all(each.session.automatic_payment for each in bills),
        state=_state(bills, running=running),
    )


def _state(bills: Iterable[Bill], *, running: bool) -> BillState:
    if running:
        return BillState.OPEN
    priced = [each for each in bills if each.refund is not None]
    paid = bool(priced) and all(each.session.paid == each.refund for each in priced)
    return BillState.PAID if paid else BillState.DUE


def settle(state: State, zone: ZoneInfo, now: datetime) -> None:
    """Pay what is paid automatically, of all months that are over, where it is known to whom and to which account.

    A company that has no employees pays all the same: then its chargers stand for them.
    """
    this_month = month_of(now, zone)
    over = [
        bill(state, session, zone)
        for session in state.sessions
        if session.automatic_payment and session.paid is None and "" < month_of(session.stopped_at, zone) < this_month
        if _has_payee(state, session)
    ]
    for month in sorted({month_of(each.session.stopped_at, zone) for each in over}):
        mine = [each for each in over if month_of(each.session.stopped_at, zone) == month]
        pay(state, mine, month, now=now, automatic=True)


def _has_payee(state: State, session: Session) -> bool:
    employee, company = state.employees.get(employee_of(state, session)), company_of(state, session)
    if employee is None:
        return all(each.company != company for each in state.employees.values())
    return bool(employee.iban)


def pay(state: State, bills: Iterable[Bill], month: str, *, now: datetime, automatic: bool = False) -> list[Payment]:
    """Pay what of these refunds is not paid yet; return a payment per company, employee and currency, often none.

    A session without a price is left unpaid: readings that come late may give it one.
    """
    payments: dict[tuple[str, str, str], Payment] = {}
    for each in bills:
        if each.cost is None or each.refund is None or each.session.paid == each.refund:
            continue
        key = company_of(state, each.session), employee_of(state, each.session), each.cost.currency
        fresh = Payment(key[0], key[1], month, now, Decimal("0.00"), key[2], automatic)
        payment = payments.setdefault(key, fresh)
        payment.amount += each.refund - (each.session.paid or 0)
        payment.sessions.append(each.session.transaction_id)
        each.session.paid = each.refund
    state.payments.extend(payments.values())
    return list(payments.values())


def _sum(amounts: Iterable[Decimal | None]) -> Decimal:
    return sum((amount for amount in amounts if amount is not None), Decimal("0.00"))


def _check(month: str) -> None:
    try:
        right = f"{datetime.strptime(month, '%Y-%m'):%Y-%m}" == month  # noqa: DTZ007 - a month has no time zone
    except ValueError:
        right = False
    if not right:
        raise Misuse(f"{month!r} is no month, write it as 2026-11")

"""Compares the ledger with what a central system bills: each difference to the cent, with its cause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final
from zoneinfo import ZoneInfo

from agent.buffer.deliveries import Reported
from agent.buffer.ledger import SessionRecord
from agent.core.model import Profile
from agent.core.prices_limits import money
from agent.core.tariff import CENT
from agent.statement.claims import Claim
from agent.statement.matching import Pair, paired, same_energy
from agent.statement.month import Month, month_at

SECOND: Final = timedelta(seconds=1)
HALF_HOUR: Final = timedelta(minutes=30)
COMPONENTS: Final = ("energy", "time", "fixed", "parking", "reservation", "surcharge")
KILO: Final = Decimal(1000)
HUNDRED: Final = Decimal(100)
FINE: Final = Decimal("0.0001")
TENTH: Final = Decimal("0.1")
#: Why a session is not billed, by how far it has come.
UNBILLED: Final = {
    Reported.REPORTED: "the central system confirmed it, and does not bill it",
    Reported.PENDING: "it has not reached the central system yet",
    Reported.FAILED: "the central system refused it: see `wallbox-agent sessions show`, and `sessions resend`",
    Reported.LOCAL_ONLY: "it never leaves the station: not linked to the company then, or logging was off",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the two sides tell differently. field: ``session`` where one side has none of it at all.

    session: its id here, cdr: what the record is called there; agent, cloud: what each tells; amount: what the cloud
    has more, in units of the field.
    """

    session: str | None
    cdr: str | None
    field: str
    agent: str | None
    cloud: str | None
    amount: Decimal | None
    cause: str


@dataclass(frozen=True, slots=True)
class Side:
    """Sums of one side; incl_vat: None where sessions are without."""

    sessions: int
    energy: Decimal
    incl_vat: Decimal | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of it. months: that were compared; agent, cloud: sums of all sessions and records in them."""

    months: tuple[Month, ...]
    agent: Side
    cloud: Side
    differences: tuple[Difference, ...]


def compared(
    claims: Sequence[Claim], records: Sequence[SessionRecord], zone: ZoneInfo, only: Month | None = None
) -> Comparison:
    """Compare records with the closed sessions of the ledger, private ones among them.

    only: this month alone; else every month that a record is in. Sessions count by their end here.
    """
    closed = [record for record in records if record.stopped_at is not None]
    pairs = [pair for pair in paired(claims, closed) if only is None or _month(pair, zone) in {only, None}]
    months = {only} if only is not None else {month for pair in pairs if (month := _month(pair, zone)) is not None}
    own = [r for r in closed if r.profile is not Profile.PRIVATE and _ended(r, zone) in months]
    billed = {pair.record.id for pair in pairs if pair.record is not None}
    differences = [difference for pair in pairs for difference in _of_pair(pair, zone)]
    differences += [_unbilled(record) for record in own if record.id not in billed]
    told = [pair.claim for pair in pairs if pair.claim is not None]
    return Comparison(tuple(sorted(months)), _agent(own), _cloud(told), tuple(differences))


def _month(pair: Pair, zone: ZoneInfo) -> Month | None:
    """Return the month of a pair: of its session's end, else of the record's."""
    if pair.record is not None:
        return _ended(pair.record, zone)
    moment = None if pair.claim is None else pair.claim.end or pair.claim.start
    return None if moment is None else month_at(moment, zone)


def _ended(record: SessionRecord, zone: ZoneInfo) -> Month | None:
    return None if record.stopped_at is None else month_at(record.stopped_at, zone)


def _agent(records: Sequence[SessionRecord]) -> Side:
    amounts = [None if record.cost is None else record.cost.incl_vat for record in records]
    return Side(len(records), sum((r.energy or Decimal(0) for r in records), Decimal(0)), _sum(amounts))


def _cloud(claims: Sequence[Claim]) -> Side:
    amounts = [claim.amounts.get("incl_vat") for claim in claims]
    return Side(len(claims), sum((c.energy or Decimal(0) for c in claims), Decimal(0)), _sum(amounts))


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = list(amounts)
    return None if None in known else sum((a for a in known if a is not None), Decimal("0.00"))


def _of_pair(pair: Pair, zone: ZoneInfo) -> Iterator[Difference]:
    claim, record = pair.claim, pair.record
    if claim is None:
        return
    if record is None:
        yield _missing(claim)
    elif pair.again:
        words = "billed twice: another record is about the same session"
        yield Difference(record.id, claim.name, "session", "once", "again", _incl(claim), words)
    elif record.profile is Profile.PRIVATE:
        words = "a private session, which the station never reports: who told the central system?"
        yield Difference(record.id, claim.name, "session", "private", "billed", _incl(claim), words)
    else:
        yield from _times(claim, record, zone)
        yield from _energy(claim, record)
        yield from _money(claim, record)


def _incl(claim: Claim) -> Decimal | None:
    return claim.amounts.get("incl_vat", claim.amounts.get("excl_vat"))


def _missing(claim: Claim) -> Difference:
    start = "an unknown time" if claim.start is None else f"{claim.start:%Y-%m-%d %H:%M:%S} UTC"
    words = f"the ledger has no such session (start {start}): another station's, or entered by hand"
    return Difference(None, claim.name, "session", None, "billed", _incl(claim), words)


def _unbilled(record: SessionRecord) -> Difference:
    amount = None if record.cost is None else -record.cost.incl_vat
    return Difference(record.id, None, "session", "closed", None, amount, UNBILLED[record.reporting])


def _times(claim: Claim, record: SessionRecord, zone: ZoneInfo) -> Iterator[Difference]:
    for name, own, theirs in (("start", record.started_at, claim.start), ("end", record.stopped_at, claim.end)):
        if own is None or theirs is None or abs(theirs - own) <= SECOND:
            continue
        apart = Decimal(str((theirs - own).total_seconds()))
        here, there = (moment.astimezone(zone).isoformat(timespec="seconds") for moment in (own, theirs))
        yield Difference(record.id, claim.name, name, here, there, apart, _clock(own, theirs))


def _clock(own: datetime, theirs: datetime) -> str:
    steps = round((theirs - own) / HALF_HOUR)
    if steps and abs(theirs - own - steps * HALF_HOUR) <= SECOND:
        return f"another time zone: {steps / 2:+.1f} h apart"
    return "another moment: a clock that was corrected since, or the time at which the message came in"


def _energy(claim: Claim, record: SessionRecord) -> Iterator[Difference]:
    ends = ("meter_start_wh", "meter_stop_wh")
    own, theirs = (record.meter_start, record.meter_stop), (claim.meter_start, claim.meter_stop)
    other = []
    for name, mine, told in zip(ends, own, theirs, strict=True):
        if mine is not None and told is not None and mine != told:
            other.append(name)
            words = "another register reading"
            yield Difference(record.id, claim.name, name, f"{mine:f}", f"{told:f}", told - mine, words)
    if claim.energy is None or record.energy is None or same_energy(claim, record):
        return
    words = _why_energy(claim, record, other)
    here, there, more = f"{record.energy:f}", f"{claim.energy.normalize():f}", claim.energy - record.energy
    yield Difference(record.id, claim.name, "energy_wh", here, there, more, words)


def _why_energy(claim: Claim, record: SessionRecord, registers: Sequence[str]) -> str:
    if registers:
        return f"follows from {' and '.join(registers)}"
    if claim.energy == record.energy and claim.step > 1:
        return "rounded there"
    if record.energy is not None and claim.energy is not None and claim.energy * KILO == record.energy:
        return "kWh were taken for Wh"
    marks = ", ".join(mark.value for mark in record.quality)
    return f"the central system has other readings than the meter's register (here: {marks})"


def _money(claim: Claim, record: SessionRecord) -> Iterator[Difference]:
    if record.cost is None:
        if claim.amounts:
            words = "no price was known here when the session ended"
            yield Difference(record.id, claim.name, "cost", None, f"{_incl(claim)}", _incl(claim), words)
        return
    if claim.currency is not None and claim.currency.upper() != record.cost.currency:
        words = "another currency: amounts are not compared"
        yield Difference(record.id, claim.name, "currency", record.cost.currency, claim.currency, None, words)
        return
    own = _amounts(record)
    theirs = {name: money(amount) for name, amount in claim.amounts.items()}
    apart = [name for name in own if name in theirs and theirs[name] != own[name]]
    for name in apart:
        cause = _Cause(claim, record, tuple(apart)).of(name, own[name], theirs[name])
        here, there, more = f"{own[name]:f}", f"{theirs[name]:f}", theirs[name] - own[name]
        yield Difference(record.id, claim.name, name, here, there, more, cause)


def _amounts(record: SessionRecord) -> dict[str, Decimal]:
    cost = record.cost
    if cost is None:
        return {}
    parts = {
        "energy": cost.energy, "time": cost.time, "fixed": cost.fixed, "parking": cost.parking,
        "reservation": cost.reservation, "surcharge": cost.surcharge, "excl_vat": cost.excl_vat, "vat": cost.vat,
        "incl_vat": cost.incl_vat,
    }  # fmt: skip
    refund = {} if record.refund is None else {"refund": record.refund.amount}
    return {name: amount.quantize(CENT) for name, amount in {**parts, **refund}.items()}


@dataclass(frozen=True, slots=True)
class _Cause:
    """Finds why amounts of a session differ; apart: the names of those that do."""

    claim: Claim
    record: SessionRecord
    apart: tuple[str, ...]

    def of(self, name: str, own: Decimal, theirs: Decimal) -> str:
        """Return the cause of one."""
        if name in COMPONENTS:
            return self._component(name, own, theirs)
        if name == "refund":
            return self._refund(own, theirs)
        parts = [other for other in self._before(name) if other in self.apart]
        if parts:
            return f"follows from {', '.join(parts)}"
        if abs(theirs - own) == CENT:
            return "rounding of a cent"
        return self._vat(own, theirs) if name in {"vat", "incl_vat"} else self._priced(own, theirs)

    def _before(self, name: str) -> tuple[str, ...]:
        """Return the amounts that another is made of."""
        before = {"excl_vat": COMPONENTS, "vat": (*COMPONENTS, "excl_vat"), "incl_vat": ("excl_vat", "vat")}
        told = [part for part in before[name] if part in self.claim.amounts]
        return tuple(told) if name != "incl_vat" or told else COMPONENTS

    def _component(self, name: str, own: Decimal, theirs: Decimal) -> str:
        if not own or not theirs:
            return f"only {'the central system' if theirs else 'the station'} charges {name}"
        if name == "energy":
            return self._priced(own, theirs)
        return "rounding of a cent" if abs(theirs - own) == CENT else f"another price, or another count, of {name}"

    def _priced(self, own: Decimal, theirs: Decimal) -> str:
        energy = self.record.energy
        if not same_energy(self.claim, self.record):
            return "follows from energy_wh"
        if abs(theirs - own) == CENT:
            return "rounding of a cent"
        if not energy:
            return "charged although no energy was drawn"
        prices = [(amount * KILO / energy).quantize(FINE, ROUND_HALF_UP) for amount in (own, theirs)]
        return f"another price: {prices[0]:f} here, {prices[1]:f} there, on average per kWh"

    def _vat(self, own: Decimal, theirs: Decimal) -> str:
        cost = self.record.cost
        if cost is None or not cost.excl_vat:
            return "other VAT"
        vats = (own, theirs) if "vat" in self.apart else (own - cost.excl_vat, theirs - cost.excl_vat)
        rates = [(vat * HUNDRED / cost.excl_vat).quantize(TENTH, ROUND_HALF_UP) for vat in vats]
        return f"another rate of VAT: {rates[0]:f} % here, {rates[1]:f} % there"

    def _refund(self, own: Decimal, theirs: Decimal) -> str:
        if "incl_vat" in self.apart or "excl_vat" in self.apart:
            return "follows from the amounts above"
        if abs(theirs - own) == CENT:
            return "rounding of a cent"
        refund, cost = self.record.refund, self.record.cost
        if refund is None or cost is None or not cost.incl_vat:
            return "another refund"
        share = (theirs * HUNDRED / cost.incl_vat).quantize(TENTH, ROUND_HALF_UP)
        return f"another percentage: {refund.percentage.normalize():f} % here, about {share:f} % there"

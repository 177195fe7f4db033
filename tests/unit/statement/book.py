"""A month on record: sessions, stations and statements for the tests of statements."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from agent.buffer.annotation import Annotation
from agent.buffer.deliveries import CLOUD, Delivery, DeliveryState, Reported
from agent.buffer.ledger import Refund, SessionRecord
from agent.buffer.timeline import Trust
from agent.core.facts import StartTrigger
from agent.core.model import EvseId, IdToken, Profile, Quality, SessionId, StopReason, Wh
from agent.core.prices_limits import money
from agent.core.tariff import Basis, Cost
from agent.statement.making import statement_of
from agent.statement.model import (
    Device,
    Found,
    Location,
    Origin,
    Pricing,
    Seal,
    Site,
    Statement,
)
from agent.statement.month import Month

NOVEMBER = Month(2026, 11)
LATER = datetime(2026, 12, 24, tzinfo=UTC)
HOME = Location(
    name="Home",
    address="Am Hafen 10",
    postal_code="17207",
    city="Müritz",
    country="DEU",
    latitude=53.4,
    longitude=12.6,
    country_code="DE",
    party_id="ACM",
)
DEVICE = Device("NL*ACM*E000123*1", "eastron_sdm630_v2", "Eastron SDM630-Modbus v2 / MID", "M16 0122")
SITE = Site(
    station="NL-ACME-000123",
    timezone="Europe/Amsterdam",
    devices=(DEVICE,),
    location=HOME,
    vendor="Generic",
    model="Wallbox",
    serial_number="WB123",
    currency="EUR",
)
SEAL = Seal("9f" * 32, "MEUCIQD" + "q7Zk" * 22 + "AiB0", "SHA256:" + "3c" * 32)
TARIFF = Pricing(Basis.TARIFF)
#: uid, number, EMA-ID, name
CARDS = (
    ("04A1B2C3D4E5F6", "NL-WEX-CNQPWFBEK", "NL-WEX-C00000017-0", "Kim de Vries"),
    ("DE8C10C91EF350", None, "DE-ACM-C12345678-9", "Łukasz Żółć"),
    ("62E30860", None, None, None),
)
NAMES = {uid: (ema_id, name) for uid, _, ema_id, name in CARDS}


def cost_of(parts: dict[str, str | Decimal], vat: str = "0.21", currency: str = "EUR") -> Cost:
    """Return a cost whose sums are right; parts: of the six components."""
    names = ("energy", "time", "fixed", "parking", "reservation", "surcharge")
    amounts = {name: money(Decimal(parts.get(name, 0))) for name in names}
    taxes = sum((money(amount * Decimal(vat)) for amount in amounts.values()), Decimal("0.00"))
    total = sum(amounts.values(), Decimal("0.00"))
    return Cost(currency=currency, excl_vat=total, vat=taxes, **amounts)


def refund_of(cost: Cost, percentage: str = "100") -> Refund:
    return Refund(Decimal(percentage), money(cost.incl_vat * Decimal(percentage) / 100))


def session(number: int = 1, **changes: Any) -> SessionRecord:  # noqa: ANN401  # any field of a record
    """Return a closed session of 7.522 kWh in November 2026, or another one."""
    begin = datetime(2026, 11, 21, 20, 15, 3, 120_000, tzinfo=UTC)
    uid, label, _, _ = CARDS[0]
    cost = cost_of({"energy": "2.18"})
    record = SessionRecord(
        id=SessionId(f"019a1234-0000-7000-8000-{number:012}"),
        connector=EvseId(1),
        transaction_id=number,
        id_token=IdToken(uid),
        card=label,
        profile=Profile.FLEET,
        company_code="ACME-7F3K",
        started_at=begin,
        stopped_at=begin + timedelta(seconds=12415, milliseconds=880),
        duration_s=Decimal("12415.880"),
        clock=Trust.SYNCHRONISED,
        meter_start=Wh(Decimal(1_234_567)),
        meter_stop=Wh(Decimal(1_242_089)),
        stop_reason=StopReason.EV_DISCONNECTED,
        reporting=Reported.REPORTED,
        quality=(Quality.MEASURED,),
        delivery=(Delivery(CLOUD, DeliveryState.CONFIRMED),),
        cost=cost,
        refund=refund_of(cost),
        periods=(),
    )
    return replace(record, **changes)


def running(number: int = 99, **changes: Any) -> SessionRecord:  # noqa: ANN401  # as session
    """Return a session that has not ended."""
    none = dict.fromkeys(("stopped_at", "duration_s", "meter_stop", "stop_reason", "cost", "refund"))
    return session(number, **{**none, "reporting": Reported.PENDING, **changes})


def month(count: int) -> list[SessionRecord]:
    """Return so many sessions through November, of all cards, qualities and ways to report."""
    step, register, found = timedelta(days=29) / max(count, 1), 1_234_567, []
    for number in range(1, count + 1):
        uid, label, _, _ = CARDS[number % 7 % 3]
        energy, seconds = 5000 + number * 7919 % 31_000, 1800 + number * 104_729 % 40_000
        begin = datetime(2026, 11, 1, 6, 30, 11, tzinfo=UTC) + step * number - timedelta(seconds=seconds)
        parts = {"energy": Decimal(energy) * Decimal("0.2931") / 1000, "fixed": "0.50" if number % 3 == 0 else "0"}
        cost = cost_of({**parts, "parking": "1.25" if number % 5 == 0 else "0"})
        found.append(
            session(
                number,
                id_token=IdToken(uid),
                card=label,
                started_at=begin,
                stopped_at=begin + timedelta(seconds=seconds, milliseconds=number % 1000),
                duration_s=Decimal(seconds) + Decimal(number % 1000) / 1000,
                meter_start=Wh(Decimal(register)),
                meter_stop=Wh(Decimal(register + energy)),
                cost=cost,
                refund=refund_of(cost, "100" if number % 4 else "80"),
                reporting=Reported.LOCAL_ONLY if number % 9 == 4 else Reported.REPORTED,
                quality=((Quality.MEASURED,), (Quality.RECONSTRUCTED,), (Quality.METER_GAP, Quality.RECONSTRUCTED))[
                    0 if number % 6 else number // 6 % 3
                ],
                clock=Trust.CORRECTED if number % 11 == 5 else Trust.SYNCHRONISED,
            )
        )
        register += energy + number % 3
    return found


def found(records: list[SessionRecord], **more: Any) -> Found:  # noqa: ANN401  # any field of what is found
    origins = {record.id: Origin(StartTrigger.CARD, "23004711", TARIFF) for record in records}
    given = Found(records=tuple(records), origins=origins, names=NAMES, bases=frozenset({Basis.TARIFF}))
    return replace(given, **more)


def statement(
    records: list[SessionRecord],
    site: Site = SITE,
    now: datetime = LATER,
    **more: Any,  # noqa: ANN401  # as found
) -> Statement:
    return statement_of(NOVEMBER, found(records, **more), site, now)


def typical(count: int = 31) -> Statement:
    """Return a sealed statement of a month with everything in it."""
    records = month(count)
    notes = {records[0].id: Annotation(Decimal(48_123), "Visit to the customer in Müritz")} if records else {}
    return replace(statement(records, annotations=notes), seal=SEAL)


def png(width: int = 40, height: int = 20, *, kind: int = 2, depth: int = 8, interlace: int = 0) -> bytes:
    """Return a small PNG picture with a gradient, each row with another filter."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    size = (width * channels * depth + 7) // 8
    rows = b"".join(
        bytes([y % 5]) + bytes((x * 3 + y) % (4 if kind == 3 else 256) for x in range(size)) for y in range(height)
    )
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace))]
    chunks += [(b"PLTE", bytes(range(12)))] if kind == 3 else []
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = (struct.pack(">I", len(b)) + t + b + struct.pack(">I", zlib.crc32(t + b)) for t, b in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)

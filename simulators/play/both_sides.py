"""The sessions of agent and central system side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from simulators.csms.billing import Bill
from simulators.csms.show import table

COLUMNS: Final = ("transaction", "side", "start", "end", "kWh", "cost", "refund", "")


def table_of(sessions: Iterable[Mapping[str, Any]], bills: Iterable[Bill]) -> str:
    """Return the sessions of the agent (``sessions list --json``), each with the central system's view of it below.

    What only one side has stands alone; the last column says where both differ, or what the agent says of reporting.
    """
    theirs = {bill.session.transaction_id: bill for bill in bills}
    rows: list[tuple[str, ...]] = [COLUMNS]
    for session in sessions:
        bill = theirs.pop(session["transaction_id"], None)
        ours, note = of_agent(session), str(session["reporting"])
        other = None if bill is None else of_csms(bill)
        if other is not None and session["state"] == "closed" and other != ours:
            note = "they differ"
        rows.append((_number(session["transaction_id"]), "agent", *ours, note))
        if other is not None:
            rows.append(("", "central system", *other, ""))
    rows += [(_number(number), "central system", *of_csms(bill), "only there") for number, bill in theirs.items()]
    return table(rows) if len(rows) > 1 else "no session yet"


def of_agent(session: Mapping[str, Any]) -> tuple[str, ...]:
    """Return start, end, kWh, cost and refund of a session as the agent has it."""
    cost, refund, energy = session["cost"] or {}, session["refund"] or {}, session["energy_wh"]
    return (
        _clock(datetime.fromisoformat(session["started_at"])),
        _clock(datetime.fromisoformat(session["stopped_at"])) if session["stopped_at"] else "runs",
        "-" if energy is None else f"{Decimal(str(energy)) / 1000:.3f}",
        f"{cost['incl_vat']} {cost['currency']}" if cost else "-",
        str(refund.get("amount") or "-"),
    )


def of_csms(bill: Bill) -> tuple[str, ...]:
    """Return the same of a session as the central system has it."""
    session = bill.session
    energy = session.energy_wh
    return (
        _clock(session.started_at),
        "runs" if session.stopped_at is None else _clock(session.stopped_at),
        "-" if energy is None else f"{energy / 1000:.3f}",
        f"{bill.cost.incl_vat} {bill.cost.currency}" if bill.cost else "-",
        "-" if bill.refund is None else str(bill.refund),
    )


def _clock(at: datetime) -> str:
    return f"{at.astimezone():%H:%M:%S}"


def _number(transaction: object) -> str:
    return "-" if transaction is None else str(transaction)

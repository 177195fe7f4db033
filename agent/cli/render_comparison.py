"""The comparison with a central system's records: as JSON, and as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from agent.cli.layout import NOTHING, clean, table
from agent.statement.comparison import Comparison, Difference, Side

SHORT: Final = 13
"""Characters of a session's id that are enough to name it; `sessions show` takes them."""


def document(result: Comparison) -> dict[str, object]:
    """Return the document of ``--json``."""
    return {
        "months": [str(month) for month in result.months],
        "agent": _side(result.agent),
        "cloud": _side(result.cloud),
        "differences": [_difference(one) for one in result.differences],
    }


def comparison_text(result: Comparison) -> str:
    """Return each difference with its cause, and the sums of both sides."""
    months = ", ".join(str(month) for month in result.months) or "no month"
    count = len(result.differences)
    verdict = "no differences" if count == 0 else f"{count} difference{'' if count == 1 else 's'}"
    blocks = [f"{months}: {verdict}\n", _sums(result)]
    if result.differences:
        head = ("SESSION", "RECORD", "FIELD", "HERE", "THERE", "MORE THERE", "CAUSE")
        blocks.append(table(head, [list(_row(one)) for one in result.differences], right=(3, 4, 5)))
    return "\n".join(blocks)


def _sums(result: Comparison) -> str:
    rows = [[name, *_figures(side)] for name, side in (("here", result.agent), ("there", result.cloud))]
    return table(("", "SESSIONS", "KWH", "INCL. VAT"), rows, right=(1, 2, 3))


def _figures(side: Side) -> tuple[str, str, str]:
    incl = NOTHING if side.incl_vat is None else f"{side.incl_vat:.2f}"
    return str(side.sessions), f"{side.energy / 1000:.3f}", incl


def _row(one: Difference) -> Iterator[str]:
    yield (one.session or NOTHING)[:SHORT]
    yield clean(one.cdr or NOTHING)[: 2 * SHORT]
    yield one.field
    yield clean(one.agent or NOTHING)
    yield clean(one.cloud or NOTHING)
    yield NOTHING if one.amount is None else f"{one.amount:+f}"
    yield clean(one.cause)


def _side(side: Side) -> dict[str, object]:
    return {
        "sessions": side.sessions,
        "energy_wh": float(side.energy),
        "incl_vat": None if side.incl_vat is None else _text(side.incl_vat),
    }


def _difference(one: Difference) -> dict[str, object]:
    return {
        "session": one.session,
        "cdr": one.cdr,
        "field": one.field,
        "agent": one.agent,
        "cloud": one.cloud,
        "difference": None if one.amount is None else f"{one.amount:f}",
        "cause": one.cause,
    }


def _text(amount: Decimal) -> str:
    return f"{amount:.2f}"

"""Sessions as CSV, where the commands look for it; what a CSV is stands in ``agent.statement.sheet``."""

from __future__ import annotations

from agent.statement.sheet import FLAVOURS, HEADER, csv_of

__all__ = ("FLAVOURS", "HEADER", "csv_of")

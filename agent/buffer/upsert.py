"""How a row of one source is put in beside or over the row that another one has of the same thing.

A value never gives way to none; a message that was confirmed or given up stays so, and what was held and decided stays
decided.
"""

from __future__ import annotations

from typing import Final

from agent.buffer.second import Table

OF_STATE: Final = ("state", "attempts", "error", "settled_at")
RANK: Final = "CASE {0}.state WHEN 'held' THEN 0 WHEN 'queued' THEN 1 ELSE 2 END"
"""How far a message is on its way, from which it never comes back."""


def upsert(table: Table, *, is_newer: bool) -> str:
    """Return the statement, with the columns' names for parameters; a row that no constraint lets in is left out.

    is_newer: the row that is put in counts where the two differ.
    """
    columns = ", ".join(table.columns)
    places = ", ".join(f":{column}" for column in table.columns)
    order = "excluded.{0}, {1}.{0}" if is_newer else "{1}.{0}, excluded.{0}"
    rest = [column for column in table.columns if column not in table.key]
    sets = {column: f"coalesce({order.format(column, table.name)})" for column in rest}
    if table.name == "session":
        sets["reporting"] = "CASE session.reporting WHEN 'hold' THEN excluded.reporting ELSE session.reporting END"
    if table.name == "outbox":
        mine, other = RANK.format("outbox"), RANK.format("excluded")
        for column in OF_STATE:
            decided = f"WHEN {other} > {mine} THEN excluded.{column} WHEN {other} < {mine} THEN outbox.{column}"
            sets[column] = f"CASE {decided} ELSE {sets[column]} END"
    assigned = ", ".join(f"{column} = {value}" for column, value in sets.items())
    action = f"DO UPDATE SET {assigned}" if sets else "DO NOTHING"
    key = ", ".join(table.key)
    return f"INSERT OR IGNORE INTO {table.name} ({columns}) VALUES ({places}) ON CONFLICT ({key}) {action}"  # noqa: S608  # of the schema

"""How the statuses of a station follow each other.

Source: OCPP 1.6 ed. 2, section 4.9 (table of transitions) and 7.7; errata 3.20.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from simulators.csms.state import JsonObject, Station

#: All that the station as a whole can be.
OF_STATION: Final = frozenset({"Available", "Unavailable", "Faulted"})
#: Status -> those that cannot follow it directly; Faulted may follow each, and each may follow it.
NEVER: Final[Mapping[str, frozenset[str]]] = {
    "Available": frozenset({"Finishing"}),
    "Preparing": frozenset({"Reserved"}),
    "Charging": frozenset({"Preparing", "Reserved"}),
    "SuspendedEV": frozenset({"Preparing", "Reserved"}),
    "SuspendedEVSE": frozenset({"Preparing", "Reserved"}),
    "Finishing": frozenset({"Charging", "SuspendedEV", "SuspendedEVSE", "Reserved"}),
    "Reserved": frozenset({"Charging", "SuspendedEV", "SuspendedEVSE", "Finishing"}),
    "Unavailable": frozenset({"Finishing", "Reserved"}),
}
#: With a duration that a state must last to be told, states are left out, so that anything may follow anything.
FILTER: Final = "MinimumStatusDuration"


class Statuses:
    """Checks the statuses of stations; what was before a boot or a new connection binds nobody."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, int], str] = {}

    def forget(self, station: str) -> None:
        """A boot, or a new connection: states in between may never have been told."""
        for key in [key for key in self._last if key[0] == station]:
            del self._last[key]

    def reported(self, station: Station, payload: JsonObject) -> Iterator[str]:
        """Yield what is wrong with a StatusNotification."""
        connector, status = int(payload["connectorId"]), str(payload["status"])
        where = f"connector {connector}"
        if connector < 0:
            yield f"StatusNotification of {where}"
        if connector == 0 and status not in OF_STATION:
            yield f"{where} is {status}, it can only be {', '.join(sorted(OF_STATION))}"
        if status == "Faulted" and payload["errorCode"] == "NoError":
            yield f"{where} is Faulted without an error code"
        before = self._last.get((station.id, connector), status)
        self._last[station.id, connector] = status
        if status in NEVER.get(before, ()) and station.keys.get(FILTER, "0") == "0":
            yield f"{where} is {status} right after {before}"

"""What connections need of the central system: answers, what to make of a station's answers, and its memory kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from simulators.csms.conduct import Conduct
from simulators.csms.faults import Faults
from simulators.csms.state import JsonObject, State
from simulators.csms.v16 import V16, CallRefused

#: Actions after which the state is on disk before they are answered.
SAVED_AFTER: Final = frozenset({"BootNotification", "StartTransaction", "StopTransaction", "DataTransfer"})
TRIGGERS: Final = frozenset({"TriggerMessage", "ExtendedTriggerMessage"})


class Reception:
    """Stands between the connections and the parts of the central system (``link.Central``). save: writes the state."""

    def __init__(
        self, dialect: V16, state: State, conduct: Conduct, faults: Faults, *, save: Callable[[], None]
    ) -> None:
        self.conduct = conduct
        self.faults = faults
        self.log = dialect.log
        self._dialect = dialect
        self._state = state
        self._save = save

    def answer(self, station: str, id_: str, action: str, payload: JsonObject) -> JsonObject:
        """Return the answer to a CALL. Raises CallRefused."""
        try:
            return self._dialect.answer(station, id_, action, payload)
        finally:
            if action in SAVED_AFTER:
                self._save()

    def answered(self, station: str, action: str, payload: JsonObject, answer: object) -> None:
        """Check the answer of a station and learn from it."""
        try:
            self._dialect.check_answer(station, action, answer)
        except CallRefused:  # an action that does not exist, asked for to see what happens
            return
        if not isinstance(answer, dict) or answer.get("status") != "Accepted":
            return
        if action in TRIGGERS:
            self.conduct.asked_for(station, str(payload.get("requestedMessage")))
        elif payload.get("key") == "MessageTimeout" and str(payload.get("value")).isdecimal():
            self.conduct.message_timeout_s = float(payload["value"])

    def unanswered(self, station: str, action: str) -> None:
        """Count the starts that brought the station no id: it may call their transactions -1 later."""
        if action == "StartTransaction":
            self._state.station(station).failed_starts += 1

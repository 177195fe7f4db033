"""What connections need of the central system: answers, what to make of a station's answers, and its memory kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from simulators.csms import local_lists
from simulators.csms.book import Book
from simulators.csms.conduct import Conduct
from simulators.csms.faults import Faults
from simulators.csms.state import JsonObject, State, Station
from simulators.csms.v16 import V16, CallRefused
from simulators.errors import Misuse

#: Actions after which the state is on disk before they are answered.
SAVED_AFTER: Final = frozenset({"BootNotification", "StartTransaction", "StopTransaction", "DataTransfer"})
#: Answers to ChangeConfiguration after which the key has its new value.
TAKEN: Final = frozenset({"Accepted", "RebootRequired"})
TRIGGERS: Final = frozenset({"TriggerMessage", "ExtendedTriggerMessage"})


class Reception:
    """Stands between the connections and the parts of the central system (``link.Central``). save: writes the state."""

    def __init__(
        self, dialect: V16, state: State, conduct: Conduct, faults: Faults, *, book: Book, save: Callable[[], None]
    ) -> None:
        self.conduct = conduct
        self._book = book
        self.faults = faults
        self.log = dialect.log
        self._dialect = dialect
        self._state = state
        self._save = save

    def answer(self, station: str, id_: str, action: str, payload: JsonObject) -> JsonObject:
        """Return the answer to a CALL. Raises CallRefused, also where it could not be kept."""
        try:
            return self._dialect.answer(station, id_, action, payload)
        finally:
            if action in SAVED_AFTER:
                self._keep()

    def _keep(self) -> None:
        try:
            self._save()
        except (Misuse, OSError) as error:
            raise CallRefused("InternalError", str(error)) from None

    def answered(self, station: str, action: str, payload: JsonObject, answer: object) -> None:
        """Check the answer of a station and learn from it."""
        try:
            self._dialect.check_answer(station, action, answer)
        except CallRefused:  # an action that does not exist, asked for to see what happens
            return
        if not isinstance(answer, dict):
            return
        for text in self._learned(station, action, payload, answer=answer):
            self.log.accuse(station, text)
        if action in TRIGGERS and answer.get("status") == "Accepted":
            self.conduct.asked_for(station, str(payload.get("requestedMessage")))

    def _learned(self, station: str, action: str, payload: JsonObject, *, answer: JsonObject) -> Iterator[str]:
        """Take note of what an answer says of the station; yield what is wrong with it."""
        known = self._state.station(station)
        match action:
            case "SendLocalList":
                yield from local_lists.sent(known, payload, answer)
            case "GetLocalListVersion":
                yield from local_lists.version_told(known, answer)
            case "UnlockConnector":
                self._book.unlocked(station, payload.get("connectorId", 0), str(answer.get("status")))
            case "ChangeConfiguration" if answer.get("status") in TAKEN:
                self._key(known, str(payload.get("key")), str(payload.get("value")))
            case "GetConfiguration":
                for entry in filter(_has_value, answer.get("configurationKey") or []):
                    self._key(known, entry["key"], entry["value"])

    def _key(self, station: Station, key: str, value: str) -> None:
        station.learn(key, value)
        if key == "MessageTimeout" and value.isdecimal():
            self.conduct.message_timeout_s = float(value)

    def unanswered(self, station: str, action: str) -> None:
        """Count the starts that brought the station no id: it may call their transactions -1 later."""
        if action == "StartTransaction":
            self._state.station(station).failed_starts += 1


def _has_value(entry: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(entry, dict) and isinstance(entry.get("key"), str) and isinstance(entry.get("value"), str)

"""How a central system misbehaves, to be switched on and off while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Deed(StrEnum):
    """What is done to a message instead of answering it.

    ERROR: a CALLERROR, nothing was done. IGNORE: no answer, nothing was done. LOSE: done, but the answer is lost.
    CLOSE: done, then the connection is closed instead of answering. GARBAGE: done, and answered with half a JSON
    text. WRONG_TYPES: done, answered with wrong types. MISSING_FIELDS: done, answered with ``{}``.
    """

    ERROR = "error"
    IGNORE = "ignore"
    LOSE = "lose"
    CLOSE = "close"
    GARBAGE = "garbage"
    WRONG_TYPES = "wrong-types"
    MISSING_FIELDS = "missing-fields"


#: Deeds before which the message is not looked at.
UNDONE = frozenset({Deed.ERROR, Deed.IGNORE})


@dataclass(slots=True)
class Rule:
    """A deed to messages of an action, from the nth that comes on, so many times."""

    action: str
    deed: Deed
    nth: int = 1
    times: int = 1
    code: str = "InternalError"


@dataclass(slots=True)
class Faults:
    """What is wrong now; each stays until it is set back, or ``clear`` is called.

    refuse_http: the status that answers every new connection. hang: new connections are accepted by TCP only, their
    handshake is never answered. mute: no message is answered or looked at. half_open: new connections are not read
    from (``Csms.cut`` does it to those there are). answer_delay_s: before each answer. subprotocol: what the handshake
    answers instead of the right one; "": none at all.
    """

    refuse_http: int | None = None
    hang: bool = False
    mute: bool = False
    half_open: bool = False
    answer_delay_s: float = 0.0
    subprotocol: str | None = None
    rules: list[Rule] = field(default_factory=list)

    def on(self, action: str, deed: Deed | str, *, nth: int = 1, times: int = 1, code: str = "InternalError") -> None:
        """Do something to the nth message of an action that comes from now on and those after it, ``times`` in all."""
        self.rules.append(Rule(action, Deed(deed), nth, times, code))

    def take(self, action: str) -> Rule | None:
        """Return what is to be done to a message that came, and count it."""
        found = None
        for rule in [rule for rule in self.rules if rule.action == action]:
            rule.nth -= 1
            if rule.nth > 0 or found is not None:
                continue
            found = rule
            rule.times -= 1
            if rule.times <= 0:
                self.rules.remove(rule)
        return found

    def clear(self) -> None:
        """Be a good central system again."""
        self.refuse_http, self.subprotocol, self.answer_delay_s = None, None, 0.0
        self.hang = self.mute = self.half_open = False
        self.rules.clear()


def distorted(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a payload whose every value has another type."""
    if isinstance(value, dict):
        return {key: distorted(entry) for key, entry in value.items()}
    return "many" if isinstance(value, (int, float, list)) else 12345

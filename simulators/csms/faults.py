"""How a central system misbehaves, to be switched on and off while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

#: Stands for every action in a rule.
ANY: Final = "any"
#: Kept for a rule that never ends.
ALWAYS: Final = 0
DOWN: Final = "nothing listens"
HUGE_BYTES: Final = 2_000_000
LATE_S: Final = 40.0


class Deed(StrEnum):
    """What is done to a message instead of answering it well; ``PURPOSES`` says what each does."""

    ERROR = "error"
    IGNORE = "ignore"
    LOSE = "lose"
    LATE = "late"
    CLOSE = "close"
    GARBAGE = "garbage"
    BINARY = "binary"
    WRONG_TYPES = "wrong-types"
    MISSING_FIELDS = "missing-fields"
    EXTRA_FIELDS = "extra-fields"
    NULL = "null"
    WRONG_ID = "wrong-id"
    DUPLICATE = "duplicate"
    HUGE = "huge"


PURPOSES: Final[Mapping[Deed, str]] = {
    Deed.ERROR: "nothing is done, the answer is a CALLERROR; VALUE: its code (InternalError)",
    Deed.IGNORE: "nothing is done, there is no answer",
    Deed.LOSE: "done, but the answer is lost",
    Deed.LATE: f"done, and answered so much later, others go on meanwhile; VALUE: seconds ({LATE_S:g})",
    Deed.CLOSE: "done, then the connection is closed instead of an answer",
    Deed.GARBAGE: "done, and answered with half a JSON text",
    Deed.BINARY: "done, and answered in a binary frame",
    Deed.WRONG_TYPES: "done, and every value of the answer has another type",
    Deed.MISSING_FIELDS: "done, and answered with an empty object",
    Deed.EXTRA_FIELDS: "done, and answered with members that the schema does not know beside the right ones",
    Deed.NULL: "done, and answered with null instead of an object",
    Deed.WRONG_ID: "done, and answered under another message id",
    Deed.DUPLICATE: "done, and answered twice, byte for byte",
    Deed.HUGE: f"done, and answered with a member that is so long; VALUE: bytes ({HUGE_BYTES})",
}
#: Deeds before which the message is not looked at.
UNDONE: Final = frozenset({Deed.ERROR, Deed.IGNORE})
#: Deeds whose answer a station has to understand all the same.
SOUND: Final = frozenset({Deed.EXTRA_FIELDS, Deed.DUPLICATE})


@dataclass(slots=True)
class Rule:
    """A deed to messages of an action (``ANY``: all), from the nth that comes on, so many times (``ALWAYS``: for good).

    code: of the CALLERROR. value: seconds of LATE, bytes of HUGE.
    """

    action: str
    deed: Deed
    nth: int = 1
    times: int = 1
    code: str = "InternalError"
    value: float | None = None

    def __str__(self) -> str:
        """Return one line for a person."""
        which = f"message {self.nth} from now" if self.nth > 1 else "the next"
        often = "for good" if self.times == ALWAYS else f"{self.times} times"
        return f"{self.action}: {self.deed}, {which}, {often}"


@dataclass(slots=True)
class Faults:
    """What is wrong now; each stays until it is set back, or ``clear`` is called.

    down: nothing listens (``Csms.cut`` and ``restore`` do it). refuse_http: the status that answers every new
    connection. hang: new connections are accepted by TCP only, their handshake is never answered. mute: no message is
    answered or looked at. half_open: new connections are not read from (``Csms.cut`` does it to those there are).
    answer_delay_s: before each answer. subprotocol: what the handshake answers instead of the right one; "": none at
    all. calls_twice: each CALL of ours is sent twice, byte for byte.
    """

    down: bool = False
    refuse_http: int | None = None
    hang: bool = False
    mute: bool = False
    half_open: bool = False
    answer_delay_s: float = 0.0
    subprotocol: str | None = None
    calls_twice: bool = False
    rules: list[Rule] = field(default_factory=list)

    def on(
        self,
        action: str,
        deed: Deed | str,
        *,
        nth: int = 1,
        times: int = 1,
        code: str = "InternalError",
        value: float | None = None,
    ) -> None:
        """Do something to the nth message of an action that comes from now on and those after it, ``times`` in all."""
        self.rules.append(Rule(action, Deed(deed), nth, times, code, value))

    def take(self, action: str) -> Rule | None:
        """Return what is to be done to a message that came, and count it."""
        found = None
        for rule in [rule for rule in self.rules if rule.action in {action, ANY}]:
            rule.nth -= 1
            if rule.nth > 0 or found is not None:
                continue
            found = rule
            if rule.times == ALWAYS:
                continue
            rule.times -= 1
            if rule.times <= 0:
                self.rules.remove(rule)
        return found

    def clear(self) -> None:
        """Be a good central system again."""
        self.refuse_http, self.subprotocol, self.answer_delay_s = None, None, 0.0
        self.down = self.hang = self.mute = self.half_open = self.calls_twice = False
        self.rules.clear()

    def active(self) -> list[str]:
        """Return what is wrong now, a line each."""
        states = {
            DOWN: self.down,
            f"new connections are answered by HTTP {self.refuse_http}": self.refuse_http is not None,
            "handshakes hang": self.hang,
            "no message is answered": self.mute,
            "connections are not read": self.half_open,
            f"answers come {self.answer_delay_s:g} s late": self.answer_delay_s > 0,
            f"the subprotocol in the handshake is {self.subprotocol or 'missing'}": self.subprotocol is not None,
            "each CALL is sent twice": self.calls_twice,
        }
        return [text for text, holds in states.items() if holds] + [str(rule) for rule in self.rules]


def distorted(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a payload whose every value has another type."""
    if isinstance(value, dict):
        return {key: distorted(entry) for key, entry in value.items()}
    return "many" if isinstance(value, (int, float, list)) else 12345


def grown(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a payload with members that no schema knows, in each of its objects."""
    if not isinstance(value, dict):
        return value
    more = {"customData": {"vendorId": "simulated"}, "simulated": True}
    return {key: grown(entry) for key, entry in value.items()} | more

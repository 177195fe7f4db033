"""Which port carries out which effect: a table, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from agent.core.commands import CallRef
from agent.core.effects import (
    Answer,
    Deenergise,
    Effect,
    Energise,
    Indicate,
    PollMeter,
    Reduce,
    Restart,
    SafetyEffect,
    Stop,
    Unlock,
)
from agent.core.model import EvseId, MilliAmp
from agent.ports import Destination
from agent.runtime.commander import Commander
from agent.runtime.polling import Poll

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Performer:
    """Carries out effects; never waits.

    destinations: by the origin that their commands carry; all of them are told what is reported.
    """

    commanders: Mapping[EvseId, Commander]
    meters: Mapping[EvseId, Poll]
    stop: Callable[[Restart | Stop], None]
    destinations: dict[str, Destination] = field(default_factory=dict)

    def safety(self, effect: SafetyEffect) -> None:
        """Withdraw or lower an offer, at once."""
        match effect:
            case Deenergise(evse):
                self._limit(evse, MilliAmp(0))
            case Reduce(evse, limit):
                self._limit(evse, limit)

    def perform(self, effect: Effect) -> None:
        """Carry out an effect that comes after the commit."""
        match effect:
            case Energise(evse, limit):
                self._limit(evse, limit)
            case Unlock(evse, call):
                self._unlock(evse, call)
            case PollMeter(evse):
                self._poll(evse)
            case Answer(call, _):
                self._answer(call.origin, effect)
            case Indicate(evse, text, accepted):
                log.info(text, connector=evse, accepted=accepted)
            case Restart() | Stop():
                self.stop(effect)
            case _:
                for destination in self.destinations.values():
                    destination.perform(effect)

    def committed(self) -> None:
        """Tell every destination that there may be something new to send."""
        for destination in self.destinations.values():
            destination.facts_committed()

    def _limit(self, evse: EvseId, limit: MilliAmp) -> None:
        if evse in self.commanders:
            self.commanders[evse].order(limit)

    def _unlock(self, evse: EvseId, call: CallRef | None) -> None:
        if evse in self.commanders:
            self.commanders[evse].unlock(call)

    def _poll(self, evse: EvseId) -> None:
        if evse in self.meters:
            self.meters[evse].now()

    def _answer(self, origin: str, effect: Effect) -> None:
        if origin in self.destinations:
            self.destinations[origin].perform(effect)

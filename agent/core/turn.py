"""One turn of the core: the state as it becomes, and what has to be done; local to one call of ``step``, never kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.core.effects import Effect, SafetyEffect
from agent.core.facts import Fact
from agent.core.instant import Instant
from agent.core.policy import EvsePolicy, Policy
from agent.core.settings import Settings
from agent.core.state import EvseState, StationState


@dataclass(frozen=True, slots=True)
class Step:
    """What a step comes to; applied in the order of the fields (the facts and the state in one commit)."""

    safety: tuple[SafetyEffect, ...]
    state: StationState
    facts: tuple[Fact, ...]
    effects: tuple[Effect, ...]


@dataclass(slots=True)
class Turn:
    """Collects what one event changes; the blocks of the core write into it one after the other."""

    state: StationState
    at: Instant
    policy: Policy
    safety: list[SafetyEffect] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        """The settings in force now."""
        return self.state.overrides.over(self.policy.settings)

    def put(self, evse: EvseState) -> EvseState:
        """Take an EVSE's new state, and return it."""
        self.state = self.state.put(evse)
        return evse

    def evse_policy(self, evse: EvseState) -> EvsePolicy:
        """Return the installation's policy of an EVSE."""
        return self.policy.evse(evse.id)

    def step(self) -> Step:
        """Return the result."""
        return Step(tuple(self.safety), self.state, tuple(self.facts), tuple(self.effects))

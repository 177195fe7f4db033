"""Questions to the central system that are under way."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.facts import StartTrigger
from agent.core.model import STATION, EvseId, IdToken


@dataclass(frozen=True, slots=True)
class Asking:
    """A token that the central system was asked about.

    until: when the station decides by itself; drop: when a late answer no longer counts; refused, taken: it has
    decided no, or yes; stops: the question is whether the token may end a session of its group. evse: 0 for a token
    that came before any car, where several EVSEs are free.
    """

    request: int
    evse: EvseId
    id_token: IdToken
    trigger: StartTrigger
    until: float
    drop: float
    refused: bool = False
    taken: bool = False
    stops: bool = False

    @property
    def pending(self) -> bool:
        """Nobody has decided yet."""
        return not (self.refused or self.taken)

    @property
    def anywhere(self) -> bool:
        """The token is for the next plug, wherever it is."""
        return self.evse == STATION

"""What charging profiles let a running session have, and a profile that waits for its session."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.charging_profile import ChargingProfile
from agent.core.model import IdToken, MilliAmp


@dataclass(frozen=True, slots=True)
class Promise:
    """A charging profile for the session that a remote start is to begin for this token."""

    id_token: IdToken
    profile: ChargingProfile


@dataclass(frozen=True, slots=True)
class Allowance:
    """What charging profiles and the installation let a running session have.

    limit: 0 for a pause, None while no session runs; since: when it came to be (monotonic), None where nothing was
    commanded for it; due: when it is to be looked at again; profile: whose limit it is, None for the installation's.
    """

    limit: MilliAmp | None = None
    since: float | None = None
    due: float | None = None
    profile: int | None = None

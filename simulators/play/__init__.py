"""``wallbox-sim play``: a person plays the day at a charger, and sees both sides of it."""

from __future__ import annotations

from simulators.play.program import main

__all__ = ["main"]

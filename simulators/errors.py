"""What goes wrong in a simulator for a reason that its user should read."""

from __future__ import annotations


class SimulatorError(Exception):
    """The text says in one line what failed."""


class Misuse(SimulatorError, ValueError):
    """A command, an option or an argument that makes no sense."""

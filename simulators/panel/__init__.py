"""The employer's side of the simulated central system, in a browser."""

from __future__ import annotations

from simulators.panel.program import Panel

__all__ = ["Panel"]

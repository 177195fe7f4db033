"""Wallbox agent: a home wallbox's daemon, from the kWh meter to the central system."""

from __future__ import annotations

__version__ = "0.1.0"

"""A simulated central system."""

from __future__ import annotations

from simulators.csms.faults import Deed
from simulators.csms.link import NotConnected
from simulators.csms.server import Csms, Setup
from simulators.csms.state import Activation, Company, Session, Token, TokenStatus
from simulators.csms.v16 import CallRefused

__all__ = [
    "Activation",
    "CallRefused",
    "Company",
    "Csms",
    "Deed",
    "NotConnected",
    "Session",
    "Setup",
    "Token",
    "TokenStatus",
]

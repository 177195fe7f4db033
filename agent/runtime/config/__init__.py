"""The configuration: agent.toml with environment and credentials -> checked, frozen values."""

from __future__ import annotations

from agent.runtime.config.effective import AgentConfig
from agent.runtime.config.loading import load
from agent.runtime.config.shown import show, to_json

__all__ = ["AgentConfig", "load", "show", "to_json"]

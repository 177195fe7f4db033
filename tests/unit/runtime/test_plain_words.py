"""Words for the installer that two modules make together: said once, and never a hint that leads astray."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.core.commands import BlockCard, CallRef
from agent.core.effects import Answer, Effect
from agent.core.errors import ConfigError, JournalFull
from agent.core.events import CommandReceived
from agent.core.instant import Instant
from agent.core.model import EvseId, IdToken
from agent.core.policy import EvsePolicy, Policy
from agent.core.state import EvseState, StationState
from agent.runtime.config import load
from agent.runtime.loop import Loop

FULL = "the ledger /var/lib/wallbox-agent/ledger.sqlite3 cannot be used (database or disk is full): free some space"
CONFIG = """
[station]
id = "NL-1"
[cloud]
url = "ws://h/ocpp"
[[connector]]
[connector.meter]
model = "{model}"
transport = "tcp"
host = "h"
[connector.evse]
controller = "none"
"""


class Clock:
    def now(self) -> Instant:
        return Instant(1.0, datetime(2026, 11, 21, tzinfo=UTC))

    async def sleep_until(self, mono: float) -> None:
        await asyncio.sleep(mono)


class FullDisk:
    async def commit(self, *_: object) -> None:
        raise JournalFull(FULL)

    async def check(self) -> None:
        raise JournalFull(FULL)


async def test_a_command_refused_by_a_full_disk_tells_the_ledgers_cause_once() -> None:
    effects: list[Effect] = []
    loop = Loop(
        StationState((EvseState(EvseId(1)),)),
        Policy(evses=(EvsePolicy(EvseId(1)),)),
        clock=Clock(),
        journal=FullDisk(),  # type: ignore[arg-type]  # as above
        safety=lambda _effect: None,
        perform=effects.append,
        committed=lambda: None,
    )
    loop.post(CommandReceived(CallRef("control", "1"), BlockCard(IdToken("04A1B2C3"), None)))
    await loop.drain()
    assert [effect.outcome.reason for effect in effects if isinstance(effect, Answer)] == [FULL]


def refusal(folder: Path, model: str) -> str:
    path = folder / "agent.toml"
    path.write_text(CONFIG.format(model=model))
    with pytest.raises(ConfigError) as error:
        load(path, {})
    (line,) = error.value.problems
    return line


@pytest.mark.parametrize("model", ["acme_9000", "x", "abb"])
def test_a_name_that_says_too_little_is_answered_with_the_list_or_one_meter(tmp_path: Path, model: str) -> None:
    line = refusal(tmp_path, model)
    assert f'"{model}" is not known; available now: ' in line
    assert ("did you mean" in line) == (model == "abb")


def test_a_meter_is_suggested_by_the_name_on_its_housing(tmp_path: Path) -> None:
    assert refusal(tmp_path, "EM24").endswith('did you mean "cg_em24_e1" or "cg_em24_rs485"?')
    assert refusal(tmp_path, "WAGO 879-3000").endswith(".toml)")
    assert refusal(tmp_path, "klefr-693x").endswith('did you mean "inepro_pro380"?')


def test_a_meter_of_this_release_is_suggested(tmp_path: Path) -> None:
    assert refusal(tmp_path, "eastron_sdm630v2").endswith('did you mean "eastron_sdm630_v2"?')

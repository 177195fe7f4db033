"""Cases 128 and 130: the supply fails, the process is killed at any instant. (127: no supply outlasts a failure.)"""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.conformance.rig import Rig

KILLS = 50
SEED = 16


@pytest.mark.parametrize("plugged", [True, False])
async def test_case_128_power_failure_during_a_transaction(rig: Rig, plugged: bool) -> None:
    csms = await rig.ready()
    started = await rig.charging("CARD1")
    rig.meter().add(400)
    await rig.settle()
    csms.mark()
    await rig.power_cut()
    if not plugged:
        rig.unplug()
    await rig.start()
    boot = await csms.expect("BootNotification")
    if plugged:
        await csms.status(1, "Charging")
        rig.tap("CARD1")
    stopped = await csms.expect("StopTransaction", transactionId=1, meterStop=started["meterStart"] + 400)
    assert stopped["reason"] == ("Local" if plugged else "PowerLoss")
    assert boot.index < stopped.index
    await rig.settle()
    assert len(csms.of("StopTransaction")) == 1
    assert not csms.of("StartTransaction")


@pytest.mark.timeout(120)
async def test_case_130_killed_at_any_instant(rig: Rig) -> None:
    chance = random.Random(SEED)
    csms = await rig.ready()
    for kill in range(KILLS):
        if rig.evse().session is None:
            rig.unplug()
            await rig.settle()
            rig.plug()
            await rig.settle()
        else:
            rig.meter().add(chance.randrange(1, 500))
        rig.tap("CARD1")
        await asyncio.sleep(chance.random() * 0.1)
        await (rig.power_cut() if kill % 3 else rig.crash())
        await rig.start()
        await rig.until(lambda: rig.evse().evse.reading and rig.evse().meter.reading, "devices that are heard")
        await rig.until(lambda: rig.evse().recovering is None, "what was found open is decided")
    if rig.evse().session is not None:
        rig.tap("CARD1")
        await rig.until(lambda: rig.evse().session is None, "the end of the last one")
    await rig.until(lambda: rig.now.service.status().queued == 0, "an empty queue")
    await rig.settle()
    starts = {c.message_id: c for c in csms.of("StartTransaction")}
    stops = {c.message_id: c for c in csms.of("StopTransaction")}
    named = [csms.transactions[message_id] for message_id in starts]
    assert len(starts) >= KILLS // 5
    assert sorted(named) == sorted(stop["transactionId"] for stop in stops.values())
    charged = sum(stop["meterStop"] for stop in stops.values()) - sum(s["meterStart"] for s in starts.values())
    assert 0 < charged <= int(rig.meter().register) - 1_234_567

"""The rig of the conformance cases: a station in the test's own event loop, its devices, and its central system."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.core.effects import Restart
from agent.core.model import EvseId
from agent.core.policy import EvsePolicy, Policy
from agent.core.settings import Settings
from agent.core.state import EvseState
from agent.ocpp.dialect import Identity
from agent.ocpp.link import Endpoint
from agent.ocpp.security import Credentials
from tests.conformance.csms import WITHIN_S, Csms, Received
from tests.conformance.devices import Box, Meter, Reader
from tests.conformance.firmware import TestInstaller
from tests.conformance.rules import broken_rules
from tests.conformance.station import Plan, Run

SETTLE_S = 0.05
QUIET_S = 0.06
IDENTITY = Identity("ACME", "Wallbox", "1.2.3", serial_number="WB-0001", meter_type="M3", meter_serial="M-0001")


@dataclass
class Rig:
    """The whole of it; change what is not yet started, then ``ready``.

    connectors, lock: of the station; station_id, credentials: as it presents itself; policy: fields of ``Policy`` that
    shall be other than here. lax: rules of ``rules.py`` that a test breaks on purpose. installer, roots: see ``Plan``.
    """

    folder: Path
    csms: Csms = field(default_factory=Csms)
    connectors: int = 1
    lock: bool = False
    station_id: str = "NL-TEST-1"
    credentials: Credentials = field(default_factory=Credentials)
    settings: Settings = field(default_factory=Settings)
    policy: dict[str, Any] = field(default_factory=dict)
    identity: Identity = IDENTITY
    lax: set[str] = field(default_factory=set)
    installer: TestInstaller | None = None
    roots: list[bytes] = field(default_factory=list)
    runs: int = 0

    def __post_init__(self) -> None:
        self.reader = Reader()
        self.boxes: dict[EvseId, Box] = {}
        self.meters: dict[EvseId, Meter] = {}
        self.run: Run | None = None
        self._plan: Plan | None = None
        self._life: asyncio.Task[None] | None = None

    # ---- the station -------------------------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan:
        """What the station's runs are made of; may be changed before ``start``."""
        if self._plan is None:
            for number in range(1, self.connectors + 1):
                box = Box(socket=self.lock)
                self.boxes[EvseId(number)] = box
                self.meters[EvseId(number)] = Meter(box, serial=f"M-{number:04}")
            self._plan = Plan(
                folder=self.folder,
                policy=self._policy(),
                endpoint=self._endpoint,
                identity=self.identity,
                boxes=self.boxes,
                meters=self.meters,
                reader=self.reader,
                installer=self.installer,
                roots=self.roots,
            )
        return self._plan

    @property
    def now(self) -> Run:
        """The present run."""
        assert self.run is not None
        return self.run

    async def ready(self, **keys: object) -> Csms:
        """Start central system and station, wait until the boot is told, and set configuration keys."""
        await self.csms.up()
        await self.start()
        await self.booted()
        for key, value in keys.items():
            await self.csms.change(key, value)
        await self.settle()
        self.csms.mark()
        return self.csms

    async def start(self) -> None:
        """Start the station; a reset starts it again by itself."""
        plan, self.run = self.plan, None
        self._life = asyncio.create_task(self._live(plan))
        await self.csms.until(lambda: self._ended() or (self.run is not None and self.run.begun.is_set()), "a start")
        self._raise_if_dead()

    async def booted(self) -> None:
        """Wait for BootNotification and the statuses of all connectors, on the newest connection."""
        await self.csms.expect("BootNotification")
        for number in range(self.connectors + 1):
            await self.csms.expect("StatusNotification", connectorId=number)

    async def stop(self) -> None:
        """End the station in order."""
        if self.run is not None and not self._ended():
            self.run.stop()
            await self._over()

    async def crash(self) -> None:
        """End the station as a kill would."""
        self.now.crash()
        await self._over()

    async def power_cut(self) -> None:
        """End the station as a power cut does: the machine starts anew, the controller offers nothing."""
        await self.crash()
        self.plan.boot = f"boot-{self.runs + 1}"
        for box in self.boxes.values():
            box.limit = type(box.limit)(0)

    async def close(self) -> None:
        """End everything."""
        await self.stop()
        await self.csms.down()

    # ---- the driver --------------------------------------------------------------------------------------------------

    def box(self, connector: int = 1) -> Box:
        """The controller of a connector, with its car."""
        return self.plan.boxes[EvseId(connector)]

    def meter(self, connector: int = 1) -> Meter:
        """The meter of a connector."""
        return self.plan.meters[EvseId(connector)]

    def plug(self, connector: int = 1) -> None:
        """Connect the car."""
        self.box(connector).plugged = self.box(connector).cable = True

    def unplug(self, connector: int = 1) -> None:
        """Take the car away, and its cable with it."""
        self.box(connector).plugged = self.box(connector).cable = False

    def unplug_at_car(self, connector: int = 1) -> None:
        """Pull the cable out of the car; it stays in the station's socket, or is fixed there."""
        self.box(connector).plugged = False

    def tap(self, id_tag: str) -> None:
        """Hold a card to the reader."""
        self.reader.tap(id_tag)

    async def charging(self, id_tag: str = "CARD1", connector: int = 1) -> Received:
        """Plug, hold a card, and wait until it charges; returns StartTransaction."""
        self.plug(connector)
        await self.csms.status(connector, "Preparing")
        self.tap(id_tag)
        started = await self.csms.expect("StartTransaction", connectorId=connector)
        await self.csms.status(connector, "Charging")
        await self.csms.until(lambda: self.evse(connector).session and self._named(connector), "the transaction's name")
        return started

    # ---- waiting -----------------------------------------------------------------------------------------------------

    def evse(self, connector: int = 1) -> EvseState:
        """What the station itself knows of a connector; to wait for what nothing outside shows."""
        return self.now.loop.state.evse(EvseId(connector))

    async def until(self, condition: Callable[[], object], what: str = "", within: float = WITHIN_S) -> None:
        """Wait until a condition holds."""
        await self.csms.until(lambda: self._ended() or condition(), what, within)
        self._raise_if_dead()
        assert condition(), f"the station has ended; never came: {what}"

    async def settle(self) -> None:
        """Return when the station has seen its devices as they are now, and has said what there is to say of it."""
        devices: list[Box | Meter] = [*self.boxes.values(), *self.meters.values()]
        wanted = [(device, device.polls + 2) for device in devices]
        await self.until(lambda: all(device.polls >= polls for device, polls in wanted), "two polls of the devices")
        await asyncio.sleep(SETTLE_S)

    async def quiet(self, *actions: str) -> None:
        """Settle, and see that nothing of these actions came since the mark; without actions: nothing at all."""
        await self.settle()
        came = [a for a in self.csms.actions("Heartbeat") if a in actions or not actions]
        assert not came, f"came, although nothing should: {came}\n{self.csms.transcript()}"

    async def silence(self) -> None:
        """Wait until nothing more comes but Heartbeat and MeterValues; part of the rules for every case."""
        if self.run is None or self._ended() or not self.csms.connected:
            return
        for _ in range(30):
            before = len(self._chatter())
            await asyncio.sleep(QUIET_S)
            if len(self._chatter()) == before:
                return
        raise AssertionError(f"the station does not come to rest\n{self.csms.transcript()}")

    def faults(self) -> list[str]:
        """Return what in the recorded frames breaks a rule that holds for every case."""
        dead = [f"the station died: {self._life.exception()!r}"] if self._died() and self._life else []
        return dead + list(broken_rules(self.csms, self.settings.message_timeout_s, self.lax))

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _chatter(self) -> list[str]:
        return [c.action for c in self.csms.calls if c.action not in {"Heartbeat", "MeterValues"}]

    def _named(self, connector: int) -> bool:
        session = self.evse(connector).session
        return session is not None and session.transaction is not None

    async def _live(self, plan: Plan) -> None:
        """Live one run after the other while each ends by a reset."""
        while True:
            self.runs += 1
            self.run = Run(plan)
            end = await self.run.live()
            if not isinstance(end, Restart):
                return

    async def _over(self) -> None:
        assert self._life is not None
        async with asyncio.timeout(WITHIN_S):
            await self._life

    def _ended(self) -> bool:
        return self._life is None or self._life.done()

    def _died(self) -> bool:
        life = self._life
        return life is not None and life.done() and not life.cancelled() and life.exception() is not None

    def _raise_if_dead(self) -> None:
        if self._died() and self._life is not None:
            self._life.result()

    def _policy(self) -> Policy:
        one = EvsePolicy(EvseId(1), max_power_w=5_000_000, has_lock=self.lock)
        policy = Policy(
            evses=tuple(replace(one, id=number) for number in self.boxes),
            settings=self.settings,
            same_card_pause_s=0.0,
            settle_s=0.25,
            last_reading_s=1.0,
            flap_s=0.0,
            fault_clears_s=0.0,
        )
        return replace(policy, **self.policy)

    def _endpoint(self) -> Endpoint:
        return Endpoint(self.csms.url, self.station_id, ("ocpp1.6",), self.credentials, open_timeout_s=2.0)

"""Policy: what the installation and the configuration file decide; it does not change while the process runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from agent.core.model import EvseId, MilliAmp
from agent.core.prices import PriceBlock
from agent.core.settings import Settings
from agent.core.tariff import Basis, Tariff


@dataclass(frozen=True, slots=True)
class EvsePolicy:
    """One EVSE as installed.

    max_current: of the installation, per phase; max_power_w: more than this over 10 s is an impossible rise;
    meter_grace_s: so long may the meter be silent during a session; poll_s: interval of the meter poll;
    watchdog_s: a controller not heard for so long counts as not charging; failsafe: what it falls back to without us;
    controlled: False for a meter without controller.
    """

    id: EvseId
    max_current: MilliAmp = MilliAmp(16_000)
    phases: int = 3
    max_power_w: int = 13_248
    meter_grace_s: float = 60.0
    poll_s: float = 1.0
    watchdog_s: float = 30.0
    failsafe: MilliAmp = MilliAmp(0)
    controlled: bool = True
    has_lock: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything fixed that decisions depend on.

    same_card_pause_s: so long after a start the same card does nothing; answer_wait_s: so long a card waits for a
    central system before the station decides by itself; resume_window_s: a session found open at start goes on when
    the gap was shorter; settle_s: so long a car may take to begin to draw, and to stop; last_reading_s: and so long
    after that the meter is waited for; snapshot_s: a running session's reading is made durable so often; tariff: the
    configuration file's. flap_s: a change between charging and suspended by the car is shown when it has lasted so
    long; fault_clears_s: and a fault's end; reader: there is a card reader. basis: where the price of energy comes
    from; hourly: the supplier's prices, a later block wins; flat: a tax office's, by year (0 for all others).
    listeners: origins of commands that may read and trigger, and command nothing.
    limit_pace_s: so long a limit of a charging profile lasts before the next one is commanded.
    version: of this firmware; updatable: another one can be installed; trial: the number of the update that brought it,
    None where it has proven itself.
    """

    evses: tuple[EvsePolicy, ...]
    timezone: str = "UTC"
    tariff: Tariff | None = None
    settings: Settings = field(default_factory=Settings)
    company_code: str | None = None
    same_card_pause_s: float = 5.0
    answer_wait_s: float = 2.0
    resume_window_s: float = 900.0
    settle_s: float = 5.0
    last_reading_s: float = 10.0
    snapshot_s: float = 60.0
    flap_s: float = 2.0
    fault_clears_s: float = 5.0
    limit_pace_s: float = 5.0
    reader: bool = True
    basis: Basis = Basis.TARIFF
    hourly: tuple[PriceBlock, ...] = ()
    flat: tuple[tuple[int, Decimal], ...] = ()
    listeners: frozenset[str] = frozenset()
    version: str = ""
    updatable: bool = False
    trial: int | None = None

    @property
    def shared_reader(self) -> bool:
        """Several EVSEs share a card reader."""
        return self.reader and len(self.evses) > 1

    def evse(self, evse: EvseId) -> EvsePolicy:
        """Return the policy of one EVSE; one that is no longer configured has the defaults."""
        return next((p for p in self.evses if p.id == evse), EvsePolicy(evse))

"""Settings that a central system may change while the station runs; typed here, named per version elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TypeAlias

SettingValue: TypeAlias = bool | int | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings with their defaults.

    Times in seconds, energy in Wh; lists of measurands in OCPP spelling, a phase as suffix (``Voltage.L1``).
    Source: OCPP 1.6 ed. 2, section 9; defaults are this project's.
    """

    allow_offline_unknown: bool = False
    cache_enabled: bool = True
    authorize_remote: bool = False
    clock_aligned_interval_s: int = 0
    connection_timeout_s: int = 60
    heartbeat_interval_s: int = 300
    local_list_enabled: bool = True
    local_authorize_offline: bool = True
    local_pre_authorize: bool = False
    max_energy_on_invalid_wh: int = 0
    message_timeout_s: int = 30
    aligned_measurands: tuple[str, ...] = ("Energy.Active.Import.Register",)
    sampled_measurands: tuple[str, ...] = (
        "Energy.Active.Import.Register",
        "Power.Active.Import",
        "Current.Import",
        "Voltage",
        "Current.Offered",
    )
    sample_interval_s: int = 60
    minimum_status_duration_s: int = 0
    reset_retries: int = 1
    stop_on_ev_disconnect: bool = True
    stop_on_invalid: bool = True
    stop_aligned_measurands: tuple[str, ...] = ()
    stop_sampled_measurands: tuple[str, ...] = ()
    message_attempts: int = 3
    message_retry_interval_s: int = 60
    ping_interval_s: int = 54
    unlock_on_ev_disconnect: bool = False
    phase_rotation: tuple[str, ...] = ("0.Unknown", "1.RST")
    reservation_enabled: bool = True
    reserve_connector_zero: bool = True
    security_profile: int = 0
    cpo_name: str = ""


@dataclass(frozen=True, slots=True)
class Overrides:
    """Settings that were changed, by name; they win over the configuration file until reset."""

    values: tuple[tuple[str, SettingValue], ...] = ()

    def put(self, name: str, value: SettingValue) -> Overrides:
        """Return these with one more, or another, value."""
        return Overrides((*(pair for pair in self.values if pair[0] != name), (name, value)))

    def drop(self, name: str) -> Overrides:
        """Return these without one."""
        return Overrides(tuple(pair for pair in self.values if pair[0] != name))

    def over(self, base: Settings) -> Settings:
        """Return the settings in force; a name that this release does not know is left alone."""
        known = {field.name for field in fields(Settings)}
        return replace(base, **{name: value for name, value in self.values if name in known})  # type: ignore[arg-type]  # names are checked above, values when they were set

"""Configuration keys as the installer reads and changes them: the table of OCPP 1.6, and where each value comes from.

There is one table, that of ChangeConfiguration: what the central system may set may be set here, by the same rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, TypeAlias

from agent.core.commands import ChangeSetting, ResetSetting
from agent.core.company import Company
from agent.core.security_commands import ForgetPassword
from agent.core.settings import Overrides
from agent.ocpp.dialect import StationView
from agent.ocpp.v16.configuration import KEYS, Key
from agent.ocpp.v16.measurands import MEASURANDS, configured
from agent.runtime.requests import Refused

Change: TypeAlias = ChangeSetting | ResetSetting | ForgetPassword

#: Keys that are changed by commands of their own -> those commands.
BY_COMMAND: Final = {"CompanyCode": "`wallbox-agent link CODE` and `wallbox-agent unlink`"}
PASSWORD: Final = "AuthorizationKey"  # noqa: S105  # the name of a key
OF_COMPANY: Final = frozenset({"CompanyLinkStatus", "SessionLoggingEnabled", "RefundPercentage"})
OF_FILE: Final = frozenset({"NumberOfConnectors"})
LISTS_OF_MEASURANDS: Final = "_measurands"
SHOWN: Final = 60
"""Characters of a wrong value that a message repeats."""
WORD: Final = 4
"""So many characters of the middle of a name tell which one was meant."""


class Source(StrEnum):
    """Where a value comes from.

    DEFAULT: of this release; FILE: the configuration file; CHANGED: by the central system or here, kept until it is
    reset; COMPANY: the employer; FIXED: a property of the station or the release.
    """

    DEFAULT = "default"
    FILE = "file"
    CHANGED = "changed"
    COMPANY = "company"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Shown:
    """A key with its value in force as text; None for one that has none, or shows it to nobody."""

    name: str
    value: str | None
    readonly: bool
    source: Source


def key_named(name: str) -> Key:
    """Return the key of this name, in whatever case. Raises: ValueError with the name that was perhaps meant."""
    key = KEYS.get(name.strip().lower())
    if key is None:
        meant = _similar(name)
        advice = f"did you mean {meant}?" if meant else "`wallbox-agent config get` lists them"
        raise ValueError(f"there is no configuration key {name[:SHOWN]!r}: {advice}")
    return key


def change_of(name: str, text: str | None, station: StationView) -> Change:
    """Return the change that a new value comes to; text None: back to the value before it was ever changed.

    Raises: Refused where the key may not be changed here, or not to this; ValueError where there is no such key.
    """
    key = key_named(name)
    if key.name == PASSWORD and text is None:
        return ForgetPassword()
    setting = key.setting
    if setting is None or key.change is None or key.readonly(station):
        raise Refused(_unchangeable(key))
    if text is None:
        return ResetSetting(setting)
    try:
        command = key.change(text, station)
    except ValueError as error:
        raise Refused(_not_allowed(key, setting, text, str(error))) from error
    if not isinstance(command, ChangeSetting):
        raise Refused(_unchangeable(key))
    return command


def changed_names(overrides: Overrides) -> tuple[str, ...]:
    """Return the keys whose values were changed, in the order of the table."""
    kept = {name for name, _ in overrides.values}
    return tuple(key.name for key in KEYS.values() if key.setting in kept)


def shown(key: Key, overrides: Overrides, station: StationView) -> Shown:
    """Return a key as it stands; station: with the settings in force."""
    return Shown(key.name, key.read(station), key.readonly(station), _source(key, overrides, station))


def _source(key: Key, overrides: Overrides, station: StationView) -> Source:
    if key.name in BY_COMMAND:
        return _code_source(station.company)
    if key.name in OF_COMPANY:
        return Source.DEFAULT if station.company.code is None else Source.COMPANY
    if key.readonly(station):
        return Source.FILE if key.name in OF_FILE else Source.FIXED
    return Source.CHANGED if key.setting in {name for name, _ in overrides.values} else Source.DEFAULT


def _code_source(company: Company) -> Source:
    if company.code is None:
        return Source.DEFAULT
    return Source.FILE if company.code == company.configured else Source.CHANGED


def _unchangeable(key: Key) -> str:
    if key.name in BY_COMMAND:
        return f"{key.name} is changed by {BY_COMMAND[key.name]}"
    if key.name == PASSWORD:
        return f"{key.name} is for the central system to set: give the station's password as cloud.password_file"
    if key.name in OF_COMPANY:
        return f"{key.name} is decided by the company: ask the employer, or look at `wallbox-agent status`"
    return f"{key.name} is read-only: `wallbox-agent config get` shows which keys may be changed"


def _not_allowed(key: Key, setting: str, text: str, why: str) -> str:
    """Return what is wrong with a value, and what is allowed."""
    wrong = [member.strip() for member in text.split(",") if member.strip() and configured(member) is None]
    if setting.endswith(LISTS_OF_MEASURANDS) and wrong and why != "must be empty":
        allowed = f"allowed are {', '.join(MEASURANDS)}, also by phase like Voltage.L1, separated by commas"
        return f"{key.name} cannot have {wrong[0][:SHOWN]!r}: {allowed}"
    return f"{key.name} cannot be {text[:SHOWN]!r}: {why}"


def _similar(name: str) -> str | None:
    """Return the key that was perhaps meant: one that begins so, or is spelt almost so, or has it inside."""
    lower = name.strip().lower()[:100]
    begins = [known for known in KEYS if lower and known.startswith(lower)]
    inside = [known for known in KEYS if len(lower) >= WORD and lower in known]
    found = begins or get_close_matches(lower, KEYS, n=1) or inside
    return KEYS[found[0]].name if found else None

"""``config get``, ``config set`` and ``config reset``: the configuration keys of OCPP."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from agent.cli.context import USAGE, CommandFailed

if TYPE_CHECKING:
    from agent.buffer.ledger import Kept
    from agent.cli.context import Commands, Context
    from agent.ocpp.dialect import StationView
    from agent.runtime.config import AgentConfig
    from agent.runtime.keys import Shown

NOT_CHANGED: Final = "no configuration key was changed: all have the values of this release"
EMPTY: Final = "(empty)"
#: What has become of a change -> what the person should know beside.
AFTERWARDS: Final = {"RebootRequired": "; it holds from the next start of the agent on"}


def register(verbs: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the commands below ``config``."""
    get_parser = verbs.add_parser("get", parents=[shared], allow_abbrev=False, help="configuration keys of OCPP")
    get_parser.add_argument("keys", metavar="KEY", nargs="*", help="names in OCPP 1.6, in any case; default: all")
    get_parser.set_defaults(run=get)
    set_parser = verbs.add_parser("set", parents=[shared], allow_abbrev=False, help="change a key; kept until reset")
    set_parser.add_argument("key", metavar="KEY", help="name in OCPP 1.6, in any case")
    set_parser.add_argument("value", metavar="VALUE", help="as a central system would write it; lists with commas")
    set_parser.set_defaults(run=change)
    reset_parser = verbs.add_parser("reset", parents=[shared], allow_abbrev=False, help="take back what was changed")
    reset_parser.add_argument("key", metavar="KEY", nargs="?", help="name in OCPP 1.6, in any case")
    reset_parser.add_argument("--all", action="store_true", help="every key that was changed, here or from afar")
    reset_parser.set_defaults(run=reset)


def get(context: Context, options: argparse.Namespace) -> int:
    """Print keys with the values in force, from file and ledger, with or without a daemon."""
    from agent.ocpp.v16.configuration import KEYS
    from agent.runtime.keys import shown

    named = [_named(name) for name in options.keys] or [key.name for key in KEYS.values()]
    config = context.config()
    kept = kept_by(config)
    station = view(config, kept)
    found = [shown(KEYS[name.lower()], kept.overrides, station) for name in dict.fromkeys(named)]
    document = {one.name: {"value": one.value, "readonly": one.readonly, "source": one.source.value} for one in found}
    return context.emit(document, lambda: _table(found))


def change(context: Context, options: argparse.Namespace) -> int:
    """Change a key by the running daemon."""
    result = _mapping(context.ask({"command": "config set", "key": options.key, "value": options.value}))
    return context.emit(result, lambda: _told(result))


def reset(context: Context, options: argparse.Namespace) -> int:
    """Take back the change of one key, or of all."""
    if options.all == (options.key is not None):
        raise CommandFailed("say which key, or --all: see `wallbox-agent config reset --help`", status=USAGE)
    if options.all:
        return _reset_all(context)
    result = _mapping(context.ask({"command": "config reset", "key": options.key}))
    return context.emit(result, lambda: _told(result, "is back to"))


def kept_by(config: AgentConfig) -> Kept:
    """Return what the state directory keeps of settings. Raises: CommandFailed, JournalError."""
    from agent.buffer.ledger import Kept, kept
    from agent.cli.ledger import read

    return next(iter(read(config.station.state_dir, lambda connection: (kept(connection),))), Kept())


def view(config: AgentConfig, kept: Kept) -> StationView:
    """Return what the table of keys needs to know of the station, the settings in force among it."""
    from agent.core.security_model import SecurityView
    from agent.ocpp.dialect import StationView

    policy = config.policy()
    return StationView(
        len(config.connectors),
        kept.overrides.over(policy.settings),
        kept.company,
        has_lock=any(evse.has_lock for evse in policy.evses),
        security=SecurityView(additional_check=config.cloud.additional_root_check),
    )


def _reset_all(context: Context) -> int:
    from agent.runtime.keys import changed_names

    config = context.config()
    context.ask({"command": "status"})  # without a daemon nothing can be reset, be there anything or not
    names = changed_names(kept_by(config).overrides)
    results = [_mapping(context.ask({"command": "config reset", "key": name})) for name in names]
    return context.emit(results, lambda: "\n".join(_told(result, "is back to") for result in results) or NOT_CHANGED)


def _named(name: str) -> str:
    """Return the spelling of a key. Raises: CommandFailed with status 2."""
    from agent.runtime.keys import key_named

    try:
        return key_named(name).name
    except ValueError as error:
        raise CommandFailed(str(error), status=USAGE) from error


def _told(result: Mapping[str, object], verb: str = "is") -> str:
    from agent.cli.layout import plain

    value = plain(result, "value")
    return f"{plain(result, 'key')} {verb} {value or EMPTY}{AFTERWARDS.get(plain(result, 'status'), '')}"


def _table(found: Sequence[Shown]) -> str:
    from agent.cli.layout import NOTHING, clean, table

    def text(value: str | None) -> str:
        return NOTHING if value is None else clean(value) or EMPTY

    rows = [(one.name, "no" if one.readonly else "yes", one.source.value, text(one.value)) for one in found]
    return table(("KEY", "CHANGEABLE", "FROM", "VALUE"), rows)


def _mapping(result: object) -> Mapping[str, object]:
    if not isinstance(result, Mapping):
        raise CommandFailed("the agent sent no value: it is of another release than this command; restart it")
    return result

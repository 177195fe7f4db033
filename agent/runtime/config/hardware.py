"""Which meters, controllers and readers there are, and which of them this release can drive."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import agent.evse
import agent.meter
from agent.core.errors import ConfigError
from agent.fieldbus.definition import Definition, available, find
from agent.rfid.kinds import KINDS
from agent.runtime.config.values import is_definition

LEAST_NAME: Final = 4
"""Letters and digits of a name that say enough to tell which device is meant."""
#: Controllers that are reached over Modbus, with the keys of a line.
MODBUS_CONTROLLERS: Final = frozenset({
    "abl_emh1", "bender_cc", "charx", "daheimladen", "evse_din", "heidelberg", "keba_p30_tcp", "mennekes_compact",
    "phoenix_ev_cc", "v2c_modbus", "vestel_evc04", "webasto_next",
})  # fmt: skip
SERIAL_CONTROLLERS: Final = frozenset({"rapi"})
NETWORK_CONTROLLERS: Final = frozenset({"keba_udp", "switch", "v2c_http"})
NO_CONTROLLER: Final = "none"
"""The station has a meter only: nothing that it could tell what to offer."""
WITHOUT_LINE: Final = frozenset({"gpio_contactor", NO_CONTROLLER})
CONTROLLERS: Final = MODBUS_CONTROLLERS | SERIAL_CONTROLLERS | NETWORK_CONTROLLERS | WITHOUT_LINE
READERS: Final = frozenset({
    "ascii_line", "evdev", "gwiot_7941e", "id12la", "mfrc522_uart", "none", "pcsc", "pn532_hsu", "rdm6300",
    "twn4_simple",
})  # fmt: skip
#: Readers that are not found by the path of a device.
WITHOUT_DEVICE: Final = frozenset({"none", "pcsc"})


ALWAYS: Final = frozenset({"watchdog", "on_exit"})
"""Options of every controller that there is: the agent itself does what they say."""
TOUCH: Final = frozenset({"release_gap_ms", "min_repeat_ms"})
"""Options of every reader."""
#: Reader -> the keys of ``[rfid]`` that are its own.
READER_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "ascii_line": frozenset({"format", "width_bytes", "order", "terminator", "idle_ms", "prefix", "suffix", "pattern"}),
    "twn4_simple": frozenset({"mode", "crc"}),
}
FOLDER: Final = "definitions"


@dataclass(frozen=True, slots=True)
class Hardware:
    """What this release can drive.

    meters, controllers: folders of definition files, one per id. readers: ids, with the keys of ``[rfid]`` that are
    theirs; others: controllers that have no definition.
    """

    meters: Path
    controllers: Path
    readers: Mapping[str, frozenset[str]]
    others: frozenset[str] = frozenset()

    @property
    def driven(self) -> tuple[str, ...]:
        """The controllers, sorted."""
        return tuple(sorted({*available(self.controllers), *self.others}))

    def meter(self, model: str) -> Definition | None:
        """Return the definition of a meter, None for an id that has none. Raises: ConfigError for a file at fault."""
        known = is_definition(model) or model in available(self.meters)
        return find(self.meters, model) if known else None

    def covering(self, name: str) -> tuple[str, ...]:
        """Return the meters that go by such a name on their housings, sorted; a file at fault covers nothing."""
        word = _plain(name)
        found = []
        for model in available(self.meters) if len(word) >= LEAST_NAME else ():
            with suppress(ConfigError):
                definition = find(self.meters, model)
                names = map(_plain, (definition.model, *definition.covers))
                found += (
                    [model] if any(word in one or (len(one) >= LEAST_NAME and one in word) for one in names) else []
                )
        return tuple(found)

    def controller(self, name: str) -> Definition | None:
        """Return the definition of a controller, None for an id that has none."""
        return find(self.controllers, name) if name in available(self.controllers) else None

    def options(self, controller: str) -> frozenset[str]:
        """Return the keys of ``[connector.evse]`` that a controller heeds, beside those of its line."""
        definition = self.controller(controller)
        if definition is None:
            return frozenset() if controller == NO_CONTROLLER else ALWAYS
        own = {
            "failsafe_current": definition.control is not None and definition.control.failsafe is not None,
            "variant": bool(definition.variants),
            "connector": definition.connectors is not None,
        }
        return ALWAYS | definition.options.keys() | {key for key, heeded in own.items() if heeded}


def _plain(name: str) -> str:
    """Return the letters and digits of a name, small."""
    return "".join(character for character in name.lower() if character.isalnum())


def installed() -> Hardware:
    """Return what is installed with this program."""
    meters, controllers = (Path(*package.__path__) / FOLDER for package in (agent.meter, agent.evse))
    readers = {reader: TOUCH | READER_OPTIONS.get(reader, frozenset()) for reader in KINDS}
    return Hardware(meters, controllers, {**readers, "none": frozenset()}, frozenset({NO_CONTROLLER}))

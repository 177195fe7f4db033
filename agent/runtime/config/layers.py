"""Where values come from: environment, systemd credentials and file, each a tree whose keys know their place."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeAlias

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from agent.core.errors import ConfigError
from agent.runtime.config.schema import Keys, Model, Problem, find, keys_of
from agent.runtime.config.sections import Document
from agent.runtime.config.toml_lines import lines_of
from agent.runtime.config.values import is_definition

Tree: TypeAlias = dict[str, Any]

PREFIX: Final = "WALLBOX_"
OWN: Final = frozenset({"WALLBOX_CONFIG"})
"""Variables of the program that are no keys of the file."""
SECRETS: Final = ("token", "password")
ENDS: Final = 2
EXAMPLE: Final = "deploy/systemd/agent.example.toml"


@dataclass(frozen=True, slots=True)
class Layer:
    """The values of one source.

    name: the file's path, ``environment`` or ``credential``; marks: line, variable or file of a place, as far as known;
    wrong: what could not be read of it.
    """

    name: str
    tree: Tree
    marks: Mapping[Keys, str] = field(default_factory=dict)
    is_file: bool = False
    wrong: tuple[Problem, ...] = ()

    def place(self, keys: Keys) -> str:
        """Return where to look for a key, or for the table that it should be in."""
        mark = self._mark(keys)
        return f"{self.name}{':' if self.is_file else ' '}{mark}" if mark else self.name

    def origin(self, keys: Keys) -> str:
        """Return where a value comes from, in the words of ``config show``."""
        mark = self._mark(keys)
        return f"file, line {mark}" if self.is_file else f"{self.name} {mark}".strip()

    def line(self, keys: Keys) -> int:
        """Return the line of a place, 0 where nothing of it has one."""
        mark = self._mark(keys)
        return int(mark) if self.is_file and mark else 0

    def has(self, keys: Keys) -> bool:
        """Tell whether the layer decides what is at a place; a list, with all that is in it, comes from one layer."""
        node: object = self.tree
        for key in keys:
            if isinstance(node, list):
                return True
            if not isinstance(node, dict) or key not in node:
                return False
            node = node[key]
        return True

    def _mark(self, keys: Keys) -> str:
        found = (self.marks.get(keys[:length]) for length in range(len(keys), 0, -1))
        return next((mark for mark in found if mark is not None), "")


class Source(PydanticBaseSettingsSource):
    """A layer in the form that pydantic-settings joins."""

    def __init__(self, tree: Tree) -> None:
        super().__init__(Document)
        self._tree = tree

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[object, str, bool]:  # noqa: ARG002  the interface's
        """Return the value of a key of the root."""
        return self._tree.get(field_name), field_name, False

    def __call__(self) -> Tree:
        """Return all values."""
        return self._tree


def owner(layers: Sequence[Layer], keys: Keys) -> Layer | None:
    """Return the layer whose value counts at a place, None where all leave it to the default."""
    return next((layer for layer in layers if layer.has(keys)), None)


def from_file(path: Path) -> Layer:
    """Read the file. Raises: ConfigError."""
    text = _text(path)
    try:
        tree = tomllib.loads(text, parse_float=_decimal)
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deeply; write tables as [sections]") from error
    except ValueError as error:
        raise ConfigError(_syntax(path, text, str(error))) from error
    marks = {keys: str(line) for keys, line in lines_of(text).items()}
    return Layer(str(path), _located(tree, Document, path.absolute().parent), marks, is_file=True)


def from_environment(environ: Mapping[str, str], base: Path) -> Layer:
    """Take the variables with the prefix; relative paths begin at ``base``."""
    named = {
        name: (_variable(name), value)
        for name, value in sorted(environ.items(), key=lambda item: (item[0].count("__"), item[0]))
        if name.upper().startswith(PREFIX) and not _is_foreign(name)
    }
    return _layer("environment", named, base)


def foreign_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a note for each variable that has the prefix and names no key."""
    for name in sorted(environ):
        if name.upper().startswith(PREFIX) and _is_foreign(name) and name.upper() not in OWN:
            yield f"environment {name}: names no key of the configuration and is not used"


def from_credentials(directory: Path, base: Path) -> Layer:
    """Take the files that are named like a variable or a dotted key; others are for others. Raises: ConfigError."""
    named: dict[str, tuple[Keys, str]] = {}
    try:
        for path in sorted(directory.iterdir()):
            keys = _variable(path.name) if path.name.startswith(PREFIX) else tuple(path.name.split("."))
            if path.name not in OWN and not is_secret(keys) and len(keys) > 1 and keys[0] in keys_of(Document):
                text = path.read_text(encoding="utf-8")
                key = find(keys)
                named[path.name] = keys, text.rstrip("\r\n") if key is not None and key.secret else text.strip()
    except UnicodeDecodeError as error:
        raise ConfigError(f"credential {path.name}: is not UTF-8 text; encrypt the text alone") from error
    except OSError as error:
        raise ConfigError(
            f"{error.filename}: the credentials cannot be read ({error.strerror}); check the unit"
        ) from error
    return _layer("credential", named, base)


def is_secret(keys: Keys) -> bool:
    """Tell whether a credential is the token or password of a delivery: ``delivery.NAME.token``."""
    return len(keys) > ENDS and keys[0] == "delivery" and keys[-1] in SECRETS


def secrets_in(directory: Path | None, names: Iterable[str]) -> Mapping[str, Path]:
    """Return the credentials that are tokens or passwords of deliveries, by the delivery's name."""
    if directory is None:
        return {}
    found = ((name, directory / f"delivery.{name}.{kind}") for name in names if "/" not in name for kind in SECRETS)
    return {name: path for name, path in found if path.is_file()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        remedy = f"copy {EXAMPLE} there and fill it in, or name another file with --config or WALLBOX_CONFIG"
        raise ConfigError(f"{path}: there is no such file; {remedy}") from error
    except PermissionError as error:
        raise ConfigError(f"{path}: cannot be read by this user; run the command as root") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8 text; save the file as UTF-8") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read ({reason}); name the configuration file") from error


def _decimal(digits: str) -> Decimal:
    """Take a number's own digits; one beyond all measure is refused later as no number."""
    try:
        return Decimal(digits)
    except ArithmeticError:
        return Decimal("NaN")


def _syntax(path: Path, text: str, message: str) -> str:
    """Return what is wrong and where; never the line itself, which may hold a password."""
    found = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    if found is None:
        return f"{path}: is not valid TOML: {message[:1].lower()}{message[1:]}"
    line, column = int(found[1]), int(found[2])
    rest = text.split("\n")[line - 1][column - 1 :]
    hint = "TOML has no ;, each key has a line of its own" if rest.startswith(";") else "texts stand in quotes"
    if message.startswith(("Cannot overwrite", "Cannot declare")):
        hint = "a key or section stands twice there; keep one"
    words = message[: found.start()]
    return f"{path}:{line}: is not valid TOML: {words[:1].lower()}{words[1:]} at column {column}; {hint}"


def _is_foreign(name: str) -> bool:
    return "__" not in name and _variable(name)[0] not in keys_of(Document)


def _variable(name: str) -> Keys:
    return tuple(name[len(PREFIX) :].lower().split("__"))


def _layer(name: str, named: Mapping[str, tuple[Keys, str]], base: Path) -> Layer:
    tree: Tree = {}
    wrong: list[Problem] = []
    for mark, (keys, text) in named.items():
        wrong += (replace(problem, place=f"{name} {mark}") for problem in _put(tree, keys, text))
    marks = {keys: mark for mark, (keys, _) in named.items()}
    return Layer(name, _located(tree, Document, base), marks, wrong=tuple(wrong))


def _put(tree: Tree, keys: Keys, text: str) -> Iterator[Problem]:
    """Put a value into the tree, a table or list from its JSON form."""
    whole = next((keys[:n] for n in range(1, len(keys)) if (key := find(keys[:n])) and key.several), None)
    if whole is not None:
        yield Problem(keys, f"a list is given whole, as JSON in {PREFIX}{'__'.join(map(str, whole)).upper()}")
        return
    key = find(keys)
    value: object = text
    if key is not None and (key.several or key.section):
        try:
            value = json.loads(text, parse_float=_decimal, parse_constant=_decimal)
        except (ValueError, RecursionError):
            yield Problem(keys, f"is not valid JSON; write a {'list' if key.several else 'table'} in its JSON form")
            return
    *tables, name = map(str, keys)
    for table in tables:
        inner = tree.setdefault(table, {})
        if not isinstance(inner, dict):
            return
        tree = inner
    tree[name] = value


def _located(tree: Tree, model: Model, base: Path) -> Tree:
    """Return a tree whose paths are absolute."""
    return {name: _absolute(name, value, model, base) for name, value in tree.items()}


def _beside(name: str, value: str) -> bool:
    """Tell whether a serial port is named beside the file, as pseudo-terminals may be; a bare name is a mistake."""
    return name == "device" and value.startswith("./")


def _absolute(name: str, value: object, model: Model, base: Path) -> object:
    key = keys_of(model).get(name)
    if key is None:
        return value
    if isinstance(value, str) and (key.path or (key.definition and is_definition(value)) or _beside(name, value)):
        return str(base / value)
    if key.section is not None and isinstance(value, dict):
        return _located(value, key.section, base)
    if key.section is not None and isinstance(value, list):
        return [_located(one, key.section, base) if isinstance(one, dict) else one for one in value]
    return value

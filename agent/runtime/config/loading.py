"""Loads the configuration: layers, types, rules; every problem is told, not only the first."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import SecretStr, ValidationError

from agent.core.errors import ConfigError
from agent.runtime.config.effective import PASSWORD_BYTES, AgentConfig
from agent.runtime.config.hardware import Hardware, installed
from agent.runtime.config.layers import (
    Layer,
    Source,
    Tree,
    foreign_variables,
    from_credentials,
    from_environment,
    from_file,
    owner,
    secrets_in,
)
from agent.runtime.config.notes import notes_of
from agent.runtime.config.rules import password_in, problems_of
from agent.runtime.config.schema import Key, Keys, Problem, find, keys_of, missing, values_of
from agent.runtime.config.sections import Cloud, Document
from agent.runtime.config.wording import dotted, line_of, problems_in

#: Two ways to give one secret: what the source of higher precedence has counts.
ALTERNATIVES: Final = ("password", "password_file")


def load(
    path: Path,
    environ: Mapping[str, str],
    credentials_dir: Path | None = None,
    *,
    hardware: Hardware | None = None,
    secrets: bool = True,
) -> AgentConfig:
    """Load and check the configuration.

    Precedence: environment, credentials, file, defaults; a list comes whole from one of them. Relative paths begin at
    the file's directory. hardware: what can be driven, None for what is installed; secrets: False lets a
    password be missing, for commands that don't speak to the central system and that systemd gives no credentials.
    Raises: ConfigError with a line per problem: place, dotted key, value (never a secret's), what is allowed.
    """
    hardware = installed() if hardware is None else hardware
    layers = _layers(path, environ, credentials_dir)
    given = _secrets(layers, credentials_dir)
    document, problems = _checked(layers, hardware, secrets=secrets, given=given)
    if document is None:
        problems.sort(key=lambda problem: _order(problem, layers))
        raise ConfigError(*(line_of(problem, layers) for problem in problems))
    notes = (f"{dotted(note.keys, layers)}: {note.text}" for note in notes_of(document, hardware))
    return AgentConfig(
        path=path,
        document=document,
        password=_password(document.cloud),
        passwords=tuple(_password(other) for other in document.report_to),
        secrets=given,
        notes=(*foreign_variables(environ), *notes),
        origins={keys: _origin(keys, layers) for keys, _, _, given in values_of(document) if given},
    )


def _secrets(layers: Sequence[Layer], credentials_dir: Path | None) -> Mapping[str, Path]:
    """Return the credentials of the deliveries that the layers have."""
    tables = [table for layer in layers for table in _list(layer.tree.get("delivery"))]
    return secrets_in(credentials_dir, [str(table["name"]) for table in tables if "name" in table])


def _list(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _layers(path: Path, environ: Mapping[str, str], credentials_dir: Path | None) -> Sequence[Layer]:
    """Return the sources, highest precedence first, the file last."""
    base = path.absolute().parent
    file = from_file(path)
    credentials = [] if credentials_dir is None else [from_credentials(credentials_dir, base)]
    layers = [from_environment(environ, base), *credentials, file]
    for number, layer in enumerate(layers):
        if any(layer.has(("cloud", name)) for name in ALTERNATIVES):
            _drop_secrets(layers[number + 1 :])
    return layers


def _drop_secrets(layers: Sequence[Layer]) -> None:
    for layer in layers:
        cloud = layer.tree.get("cloud")
        if isinstance(cloud, dict):
            for name in ALTERNATIVES:
                cloud.pop(name, None)


def _checked(
    layers: Sequence[Layer], hardware: Hardware, *, secrets: bool, given: Collection[str]
) -> tuple[Document | None, list[Problem]]:
    """Return the configuration where it is good, and its problems where it is not.

    What is wrong by itself is put right for the rules between keys, so that their problems are found in the same run.
    """
    unread = [problem for layer in layers for problem in layer.wrong]
    document, found = _document(layers)
    wrong = unread + [problem for problem in found if not _within(problem, unread)]
    if wrong:
        document, still = _document(_repaired(layers, wrong))
        if still or document is None:
            return None, wrong
    assert document is not None, "no problem was found"  # noqa: S101  for the type checker
    found = list(problems_of(document, hardware, secrets=secrets, given=given))
    rules = [problem for problem in found if not _follows(problem, wrong)]
    return (None, wrong + rules) if wrong or rules else (document, [])


def _document(layers: Sequence[Layer]) -> tuple[Document | None, list[Problem]]:
    try:
        return Document(tuple(Source(layer.tree) for layer in layers)), []
    except ValidationError as error:
        return None, list(problems_in(error))


def _within(problem: Problem, others: Sequence[Problem]) -> bool:
    """Tell whether a problem is inside of what another one is about."""
    return any(problem.keys[: len(other.keys)] == other.keys for other in others)


def _follows(problem: Problem, others: Sequence[Problem]) -> bool:
    """Tell whether a problem may only be there because of another one: what a table lacks depends on its other keys."""
    lacks = problem.text.startswith("missing")
    return _within(problem, others) or (lacks and any(problem.keys[:-1] == other.keys[:-1] for other in others))


def _repaired(layers: Sequence[Layer], problems: Sequence[Problem]) -> Sequence[Layer]:
    """Return copies of the layers in which what is wrong is left out, or is an example where it is required."""
    copies = [replace(layer, tree=copy.deepcopy(layer.tree)) for layer in layers]
    for problem in problems:
        for layer in copies:
            _remove(layer.tree, problem.keys)
        key = find(problem.keys)
        if key is not None and (key.required or isinstance(problem.keys[-1], int)):
            layer = owner(copies, problem.keys[:-1]) or copies[-1]
            for keys, wanted in missing(problem.keys, key):
                _put(layer.tree, keys, _example(wanted, whole=isinstance(keys[-1], str)))
    return copies


def _remove(tree: Tree, keys: Keys) -> None:
    node: object = tree
    for part in keys[:-1]:
        node = _member(node, part)
    if isinstance(node, dict):
        node.pop(keys[-1], None)


def _member(node: object, part: str | int) -> object:
    if isinstance(node, list) and isinstance(part, int) and part < len(node):
        return node[part]
    return node.get(part) if isinstance(node, dict) else None


def _put(tree: Tree, keys: Keys, value: object) -> None:
    node: object = tree
    for part in keys[:-1]:
        if isinstance(node, dict):
            node.setdefault(part, {})
        node = _member(node, part)
    if isinstance(node, dict) or (isinstance(node, list) and isinstance(keys[-1], int)):
        node[keys[-1]] = value  # type: ignore[index]  # a name in a table, a number in a list


def _example(key: Key, *, whole: bool) -> object:
    """Return a value that is allowed; whole: of an array of tables the array, otherwise one of its tables."""
    if key.section is None:
        return tomllib.loads(f"value = {key.allowed.example}")["value"]
    table = {name: _example(inner, whole=True) for name, inner in keys_of(key.section).items() if inner.required}
    return [table] if key.several and whole else table


def _order(problem: Problem, layers: Sequence[Layer]) -> tuple[bool, int]:
    """Sort the file's problems by line, those of other sources behind them."""
    layer = owner(layers, problem.keys) or layers[-1]
    return not layer.is_file or problem.place != "", layer.line(problem.keys)


def _origin(keys: Keys, layers: Sequence[Layer]) -> str:
    layer = owner(layers, keys)
    return "default" if layer is None else layer.origin(keys)


def _password(cloud: Cloud) -> SecretStr | None:
    if cloud.password_file is None:
        return cloud.password
    try:
        return SecretStr(password_in(cloud.password_file).decode(*PASSWORD_BYTES))
    except ValueError as error:  # it was good a moment ago
        raise ConfigError(f"{cloud.password_file}: {error}") from error

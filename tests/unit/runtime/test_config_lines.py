"""The line of every key of a TOML text, whatever its form; and junk in a file is never more than a ConfigError."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import ConfigError
from agent.runtime.config import load
from agent.runtime.config.schema import Model, keys_of
from agent.runtime.config.sections import Document
from agent.runtime.config.toml_lines import lines_of

TEXT = '''\
# comment [not.a.table]
a = 1
"b c".d = "x # y" # comment = 2
e = """
[no.table]
f = 3 \\""" still
""""
[g]
h = [
  1, # one
  "]", [2, 3],
]
i = { j = 'k', l.m = [ { n = 1 } ] }
[[o]]
p = 1
[o.q]
r = 1979-05-27 07:32:00
[[o]]
[[o.q.s]]
t = \'\'\'
\'\'\'
u = ""
[ v . 'w' ]
x.y = inf
'''


def paths(value: object, at: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    """Return the places of all that is in a value."""
    members: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list):
        members = list(enumerate(value))
    return {at} - {()} | {path for key, member in members for path in paths(member, (*at, key))}


def test_every_key_has_the_line_on_which_it_begins() -> None:
    lines = lines_of(TEXT)
    assert lines["a",] == 2
    assert lines["b c", "d"] == 3
    assert lines["e",] == 4
    assert lines["g",] == 8
    assert [lines["g", "h", number] for number in range(3)] == [10, 11, 11]
    assert lines["g", "h", 2, 1] == 11
    assert lines["g", "i", "l", "m", 0, "n"] == 13
    assert (lines["o",], lines["o", 0], lines["o", 1]) == (14, 14, 18)
    assert lines["o", 0, "q", "r"] == 17
    assert lines["o", 1, "q", "s", 0, "t"] == 20
    assert lines["o", 1, "q", "s", 0, "u"] == 22
    assert lines["v", "w", "x", "y"] == 24


def test_every_key_of_a_text_has_a_line() -> None:
    found = lines_of(TEXT)
    implied = {("o", 1, "q"), ("v",)}
    assert paths(tomllib.loads(TEXT)) - found.keys() == implied


def test_line_ends_of_windows_count_once() -> None:
    assert lines_of("a = 1\r\n\r\n[b]\r\nc = 2\r\n")["b", "c"] == 4


SCALARS = st.one_of(
    st.booleans().map(lambda value: str(value).lower()),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(
        ["nan", "-inf", "1e400", "1e999999999999999999", "0.29", "0x7f", "07:00:00", "1979-05-27", "[]", "{}"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters='"\\'), max_size=30).map(
        lambda text: f'"{text}"'
    ),
    st.sampled_from(
        ['"\\u0000"', '"a\\nb"', '"wss://[::1"', '"ws://h:x/"', '"/dev/null"', '"x.toml"', '"{"', '"evse_din"']
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: f"[{', '.join(values)}]"),
        st.dictionaries(st.sampled_from(["id", "name", "url", "meter", "slot", "x"]), inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}"
        ),
    ),
    max_leaves=6,
)


def every_key(model: Model, at: str = "") -> list[str]:
    """Return all keys, dotted."""
    names: list[str] = []
    for name, key in keys_of(model).items():
        names.append(f"{at}{name}")
        if key.section is not None:
            names += every_key(key.section, f"{at}{name}.")
    return names


@pytest.fixture(scope="module")
def agent_toml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("junk") / "agent.toml"


def refused(path: Path, environ: dict[str, str]) -> tuple[str, ...]:
    """Return the problems of the file at a path, none where it is good."""
    try:
        load(path, environ)
    except ConfigError as error:
        return error.problems
    return ()


@given(
    junk=st.dictionaries(st.sampled_from(every_key(Document)), VALUES, min_size=1, max_size=12),
    environ=st.dictionaries(
        st.sampled_from(every_key(Document)), SCALARS.map(lambda text: text.strip('"')), max_size=3
    ),
)
def test_junk_values_are_never_more_than_a_config_error(
    agent_toml: Path, junk: dict[str, str], environ: dict[str, str]
) -> None:
    agent_toml.write_text("".join(f"{key} = {value}\n" for key, value in junk.items()), encoding="utf-8")
    variables = {f"WALLBOX_{key.replace('.', '__').upper()}": value for key, value in environ.items()}
    problems = refused(agent_toml, variables)
    assert problems
    assert all(problem.isprintable() for problem in problems)


TABLES = st.dictionaries(st.sampled_from(["model", "controller", "transport", "device", "host", "address"]), SCALARS)


@given(meter=TABLES, evse=TABLES, more=st.dictionaries(st.sampled_from(["rfid", "tariff", "log", "page"]), VALUES))
def test_junk_around_good_keys_is_never_more_than_a_config_error(
    agent_toml: Path, meter: dict[str, str], evse: dict[str, str], more: dict[str, str]
) -> None:
    tables = {"connector.meter": meter, "connector.evse": evse}
    text = "".join(f"{key} = {value}\n" for key, value in more.items())
    text += '[station]\nid = "NL-1"\n[cloud]\nurl = "ws://h/"\n[[connector]]\n'
    for name, table in tables.items():
        text += f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in table.items())
    agent_toml.write_text(text, encoding="utf-8")
    assert all(problem.isprintable() for problem in refused(agent_toml, {}))


@given(st.text(st.sampled_from(list("[]{}=.,#\"'\\\n ab1")), max_size=60))
def test_any_text_is_read_or_refused(agent_toml: Path, text: str) -> None:
    agent_toml.write_text(text, encoding="utf-8")
    assert refused(agent_toml, {})


@given(st.text(st.sampled_from(list("[]{}=.,#\"'\\\n ab1")), max_size=40))
def test_each_key_of_valid_toml_has_a_line(text: str) -> None:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = lines_of(text)
    assert all(any(path[:length] in lines for length in range(1, len(path) + 1)) for path in paths(tree))

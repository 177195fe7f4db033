"""The script that refuses what is too large."""

from __future__ import annotations

import ast
from typing import Final

import pytest

from scripts.figures import Module, faults, figures, function_lines, is_protocol

PORTS: Final = frozenset({"Clock", "Journal", "Link", "Meter", "Reader", "Sink"})


def module(text: str, path: str = "agent/core/session.py") -> Module:
    return Module(path, len(text.splitlines()), ast.parse(text))


def faults_of(text: str, path: str = "agent/core/session.py") -> list[str]:
    return list(faults(module(text, path), PORTS))


def lines(count: int, text: str = "x = 1\n", indent: str = "") -> str:
    return "".join(f"{indent}{text}" for _ in range(count))


def test_a_module_may_have_450_lines_and_no_more() -> None:
    assert faults_of(lines(450)) == []
    assert faults_of(lines(451)) == ["agent/core/session.py: 451 lines, 450 are allowed"]


def test_a_function_may_have_50_lines_and_no_more() -> None:
    assert faults_of("def f():\n" + lines(49, indent="    ")) == []
    assert faults_of("async def f():\n" + lines(50, indent="    ")) == [
        "agent/core/session.py:1: f has 51 lines, 50 are allowed"
    ]


def test_a_docstring_does_not_count() -> None:
    text = 'def f():\n    """One.\n\n    Two.\n    """\n    return 1\n'
    (function,) = module(text).functions
    assert function_lines(function) == 2


def test_a_class_may_offer_twelve_methods_beside_its_private_ones() -> None:
    methods = "".join(f"    def m{n}(self): ...\n" for n in range(12)) + "    def _own(self): ...\n"
    assert faults_of("class A:\n" + methods) == []
    assert faults_of("class A:\n" + methods + "    @property\n    def p(self): ...\n") == [
        "agent/core/session.py:1: A has 13 public methods, 12 are allowed"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "class A:\n    def __init__(self, a: Clock, b: Link, c: Meter, *, d: Reader | None, e: {fifth}, f: int): ...\n",
        "@dataclass\nclass A:\n  a: Clock\n  b: Link\n  c: tuple[Meter, ...]\n  d: Reader\n  e: {fifth}\n  f: int\n",
    ],
)
def test_a_constructor_may_take_five_ports(text: str) -> None:
    assert faults_of(text.format(fifth="str")) == []
    assert faults_of(text.format(fifth="ports.Sink")) == []
    assert len(faults_of(text.format(fifth="Sink").replace("f: int", "f: Journal"))) == 1


def test_a_protocol_is_a_port_be_it_generic_or_named_in_full() -> None:
    text = "class A(Protocol): ...\nclass B(Protocol[T]): ...\nclass C(typing.Protocol): ...\nclass D(A): ...\n"
    assert [class_.name for class_ in module(text).classes if is_protocol(class_)] == ["A", "B", "C"]


def test_a_name_that_says_nothing_is_refused() -> None:
    assert faults_of("x = 1\n", "agent/ocpp/utils.py") == [
        "agent/ocpp/utils.py: the name says nothing of what is in it"
    ]


def test_the_table_counts_each_package_by_itself() -> None:
    rows = list(figures((module(lines(7), "agent/core/a.py"), module(lines(3), "agent/core/b.py"))))
    (core,) = (row.split() for row in rows if row.startswith("agent/core"))
    assert core == ["agent/core", "2", "10", "2800", "7", "0"]

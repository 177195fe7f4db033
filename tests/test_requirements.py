"""No requirement that is owed is without a test, and no mark points at nothing; read from the sources of the tests."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.requirements import BY_CASE, IN_PART, LATER, OWED, UNUSED

TESTS: Final = Path(__file__).parent
MARK: Final = "pytest.mark.requirement"
UNPROVEN: Final = ("pytest.mark.xfail", "pytest.mark.skip", "pytest.mark.skipif")


@dataclass
class Found:
    """What the sources have. proven: number -> tests that carry it; names: all tests that count; faults: in words."""

    proven: defaultdict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    names: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def take(self, text: str, path: str) -> None:
        """Read one source; only files named test_* have tests."""
        tree = ast.parse(text)
        placed: set[ast.AST] = set()
        for name, marks in marked(tree) if Path(path).name.startswith("test_") else ():
            placed |= {mark for mark in marks if called(mark) == MARK}
            if any(called(mark) in UNPROVEN for mark in marks):
                continue
            self.names.add(name)
            for number in {n for mark in marks if called(mark) == MARK for n in numbers(mark)}:
                self.proven[number].add(f"{path}::{name}")
        for node in marks_of(tree):
            self.faults += faults(node, f"{path}:{node.lineno}", placed=node in placed)


def marked(tree: ast.Module) -> Iterator[tuple[str, list[ast.expr]]]:
    """Return every test with its marks: functions, methods of test classes, and test classes that are assigned."""
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if node.name.startswith("test_"):
                yield node.name, node.decorator_list
            case ast.ClassDef() if node.name.startswith("Test"):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and inner.name.startswith("test_"):
                        yield inner.name, [*node.decorator_list, *inner.decorator_list]
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call()) if name.startswith("Test"):
                yield name, [call.func for call in ast.walk(node.value) if isinstance(call, ast.Call)]
            case _:
                pass


def called(node: ast.AST) -> str:
    """Return what a mark is called, with or without arguments; an empty text for all else."""
    inner = node.func if isinstance(node, ast.Call) else node
    return ast.unparse(inner) if isinstance(node, ast.Call | ast.Attribute) else ""


def numbers(mark: ast.expr) -> list[int]:
    """Return the numbers of a mark."""
    arguments = mark.args if isinstance(mark, ast.Call) else []
    return [a.value for a in arguments if isinstance(a, ast.Constant) and type(a.value) is int]


def marks_of(tree: ast.Module) -> Iterator[ast.expr]:
    """Return every mark of a source, wherever it stands; one that was written without numbers too."""
    seen: set[ast.AST] = set()
    for node in ast.walk(tree):  # a call comes before what is called
        if isinstance(node, ast.Call | ast.Attribute) and node not in seen and called(node) == MARK:
            seen |= {node.func} if isinstance(node, ast.Call) else set()
            yield node


def faults(mark: ast.expr, place: str, *, placed: bool) -> Iterator[str]:
    """Return what is wrong with a mark."""
    if not placed:
        yield f"{place}: the mark is on something that is no test"
    told = numbers(mark)
    if not told or not isinstance(mark, ast.Call) or len(told) < len(mark.args) or mark.keywords:
        yield f"{place}: the mark has to name numbers, and nothing else"
    for number in told:
        if number not in OWED and number not in LATER:
            yield f"{place}: there is no requirement {number}"


@cache
def found() -> Found:
    """Return what all sources of the tests have, those of the cases included."""
    result = Found()
    for path in sorted(TESTS.rglob("*.py")):
        result.take(path.read_text(encoding="utf-8"), path.relative_to(TESTS).as_posix())
    for number, beginnings in BY_CASE.items():
        for beginning in beginnings:
            result.proven[number] |= {name for name in result.names if name.startswith(beginning)}
    return result


def test_every_requirement_that_is_owed_has_a_test() -> None:
    missing = {number: text for number, text in OWED.items() if not found().proven[number]}
    assert not missing, f"requirements without a test: {missing}"


def test_every_mark_is_on_a_test_and_names_requirements() -> None:
    assert found().faults == []


def test_every_case_that_counts_for_a_requirement_exists() -> None:
    names = found().names
    gone = {n: b for n, many in BY_CASE.items() for b in many if not any(name.startswith(b) for name in names)}
    assert not gone, f"no test that counts has a name that begins so: {gone}"


def test_every_number_is_owed_or_has_its_stage() -> None:
    assert not OWED.keys() & LATER.keys()
    assert OWED.keys() | LATER.keys() == set(range(1, 74)) - UNUSED
    assert OWED.keys() >= IN_PART.keys() | BY_CASE.keys()
    assert all(later.what and later.stage and later.why for later in LATER.values())


# ---- the reading of the sources itself ----


def read(text: str, path: str = "unit/test_x.py") -> Found:
    result = Found()
    result.take(text, path)
    return result


@pytest.mark.parametrize(
    "text",
    [
        "@pytest.mark.requirement(1, 2)\ndef test_a(): ...",
        "@pytest.mark.parametrize('x', [1])\n@pytest.mark.requirement(1, 2)\nasync def test_a(): ...",
        "@pytest.mark.requirement(1)\n@pytest.mark.requirement(2)\ndef test_a(): ...",
        "@pytest.mark.requirement(2)\nclass TestA:\n    @pytest.mark.requirement(1)\n    def test_a(self): ...",
        "TestA = pytest.mark.requirement(1, 2)(pytest.mark.timeout(9)(Machine.TestCase))",
    ],
)
def test_marks_are_found_on_functions_methods_and_classes(text: str) -> None:
    result = read(text)
    assert result.faults == []
    assert {number for number, names in result.proven.items() if names} == {1, 2}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("@pytest.mark.requirement(1)\ndef a_helper(): ...", "no test"),
        ("@pytest.mark.requirement(1)\nclass Machine:\n    def test_a(self): ...", "no test"),
        ("def test_a():\n    @pytest.mark.requirement(1)\n    def test_b(): ...", "no test"),
        ("ENDS = [pytest.param(1, marks=pytest.mark.requirement(1))]", "no test"),
        ("@pytest.mark.requirement(74)\ndef test_a(): ...", "there is no requirement 74"),
        ("@pytest.mark.requirement(31)\ndef test_a(): ...", "there is no requirement 31"),
        ("@pytest.mark.requirement\ndef test_a(): ...", "has to name numbers"),
        ("@pytest.mark.requirement()\ndef test_a(): ...", "has to name numbers"),
        ("@pytest.mark.requirement('1')\ndef test_a(): ...", "has to name numbers"),
        ("@pytest.mark.requirement(1, n=2)\ndef test_a(): ...", "has to name numbers"),
    ],
)
def test_a_mark_that_points_at_nothing_is_a_fault(text: str, fault: str) -> None:
    (told,) = read(text).faults
    assert fault in told


def test_a_mark_in_a_file_without_tests_is_a_fault() -> None:
    assert read("@pytest.mark.requirement(1)\ndef test_a(): ...", "unit/bench.py").faults


@pytest.mark.parametrize("mark", ["xfail(strict=True)", "skip", "skipif(x)"])
def test_a_test_that_is_expected_to_fail_proves_nothing(mark: str) -> None:
    result = read(f"@pytest.mark.{mark}\n@pytest.mark.requirement(1)\ndef test_a(): ...")
    assert (result.faults, dict(result.proven), result.names) == ([], {}, set())

#!/usr/bin/env python3
"""Print the sizes of the packages, and refuse what is too large: modules, functions, classes, constructors."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parent.parent
#: Folders whose limits are checked; the tests are only counted.
CHECKED: Final = ("agent", "simulators", "benchmarks", "scripts")
MODULE_LINES: Final = 450
FUNCTION_LINES: Final = 50
PUBLIC_METHODS: Final = 12
CONSTRUCTOR_PORTS: Final = 5
#: Tables made from the standard's own lists, which are as long as those: paths from the root.
MESSAGE_TABLES: Final[frozenset[str]] = frozenset()
#: Names that say nothing of what is in a module.
EMPTY_NAMES: Final = frozenset({"utils", "helpers", "misc", "common", "manager", "handler", "data", "info"})
#: Group of packages -> lines it was planned to have. What needs twice as many gets a decision record.
BUDGET: Final[Mapping[tuple[str, ...], int]] = {
    ("agent/core",): 2800,
    ("agent/ocpp",): 3000,
    ("agent/trust",): 900,
    ("agent/buffer",): 900,
    ("agent/fieldbus", "agent/meter", "agent/rfid", "agent/evse"): 1200,
    ("agent/statement",): 4000,
    ("agent/maintenance",): 1200,
    ("agent/runtime",): 1000,
    ("agent/cli",): 1200,
    ("simulators",): 2000,
    ("tests",): 18000,
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Module:
    """A source file: its path from the root, with slashes, its number of lines, and what is in it."""

    path: str
    lines: int
    tree: ast.Module

    @property
    def functions(self) -> Iterator[Function]:
        """All functions and methods, nested ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    @property
    def classes(self) -> Iterator[ast.ClassDef]:
        """All classes, nested ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))


def load(folder: str, root: Path = ROOT) -> tuple[Module, ...]:
    """Return the modules below a folder, sorted by path; none where there is no such folder."""
    paths = sorted(root.joinpath(folder).rglob("*.py"))
    return tuple(_module(path.relative_to(root).as_posix(), path.read_text()) for path in paths)


def _module(path: str, text: str) -> Module:
    return Module(path, len(text.splitlines()), ast.parse(text, path))


def function_lines(function: Function) -> int:
    """Return the lines of a function from its ``def`` on, without its docstring."""
    assert function.end_lineno is not None, "parsed from a file"  # noqa: S101  for the type checker
    lines = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is None or first.end_lineno is None:
        return lines
    return lines - (first.end_lineno - first.lineno + 1)


def public_methods(class_: ast.ClassDef) -> frozenset[str]:
    """Return the names of the methods and properties that a class offers itself."""
    return frozenset(node.name for node in class_.body if isinstance(node, Function) and not node.name.startswith("_"))


def is_protocol(class_: ast.ClassDef) -> bool:
    """Whether the class is a port: a Protocol."""
    return any("Protocol" in _names(base) for base in class_.bases)


def constructor_ports(class_: ast.ClassDef, ports: frozenset[str]) -> int:
    """Return how many arguments of the constructor, or fields of the dataclass, are ports."""
    if any("dataclass" in _names(decorator) for decorator in class_.decorator_list):
        annotations = [node.annotation for node in class_.body if isinstance(node, ast.AnnAssign)]
    else:
        annotations = [argument.annotation for argument in _constructor_arguments(class_) if argument.annotation]
    return sum(bool(_names(annotation) & ports) for annotation in annotations)


def _constructor_arguments(class_: ast.ClassDef) -> Iterator[ast.arg]:
    for node in class_.body:
        if isinstance(node, Function) and node.name == "__init__":
            yield from chain(node.args.posonlyargs, node.args.args, node.args.kwonlyargs)


def _names(node: ast.expr) -> frozenset[str]:
    """Return all names in an expression; of a dotted one its last part, too."""
    walked = list(ast.walk(node))
    plain = (part.id for part in walked if isinstance(part, ast.Name))
    dotted = (part.attr for part in walked if isinstance(part, ast.Attribute))
    return frozenset(chain(plain, dotted))


def faults(module: Module, ports: frozenset[str]) -> Iterator[str]:
    """Yield a line for each limit that a module exceeds."""
    if Path(module.path).stem in EMPTY_NAMES:
        yield f"{module.path}: the name says nothing of what is in it"
    if module.lines > MODULE_LINES and module.path not in MESSAGE_TABLES:
        yield f"{module.path}: {module.lines} lines, {MODULE_LINES} are allowed"
    for function in module.functions:
        if (lines := function_lines(function)) > FUNCTION_LINES:
            yield f"{module.path}:{function.lineno}: {function.name} has {lines} lines, {FUNCTION_LINES} are allowed"
    for class_ in module.classes:
        place = f"{module.path}:{class_.lineno}: {class_.name}"
        if (methods := len(public_methods(class_))) > PUBLIC_METHODS:
            yield f"{place} has {methods} public methods, {PUBLIC_METHODS} are allowed"
        if (count := constructor_ports(class_, ports)) > CONSTRUCTOR_PORTS:
            yield f"{place} takes {count} ports, {CONSTRUCTOR_PORTS} are allowed"


def figures(modules: tuple[Module, ...]) -> Iterator[str]:
    """Yield the table of sizes: a row per group of packages."""
    yield f"{'':<44}{'modules':>8}{'lines':>8}{'planned':>8}{'longest module':>16}{'function':>10}"
    for packages, planned in BUDGET.items():
        inside = [module for module in modules if module.path.startswith(tuple(f"{name}/" for name in packages))]
        lines = [module.lines for module in inside]
        lengths = [function_lines(function) for module in inside for function in module.functions]
        longest = f"{max(lines, default=0):>16}{max(lengths, default=0):>10}"
        yield f"{', '.join(packages):<44}{len(inside):>8}{sum(lines):>8}{planned:>8}{longest}"


def main() -> int:
    """Print the figures and the faults; exit status 1 where there is one."""
    checked = tuple(chain.from_iterable(map(load, CHECKED)))
    ports = frozenset(class_.name for module in checked for class_ in module.classes if is_protocol(class_))
    print("\n".join(figures(checked + load("tests"))))
    found = [fault for module in checked for fault in faults(module, ports)]
    for fault in found:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""HTML as values: whatever is put into an element is escaped, unless it is an element itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from html import escape
from typing import Final, TypeAlias

#: Elements without content and end.
VOID: Final = frozenset({"input", "br", "meta", "link", "hr", "img"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


#: What an element may hold; None is nothing.
Node: TypeAlias = "Markup | str | int | Decimal | Iterable[Node] | None"
#: True: the name alone; None, False: left out. A trailing underscore goes, inner ones are dashes.
Attribute: TypeAlias = str | int | bool | None


def joined(*nodes: Node) -> Markup:
    """Return nodes one after the other."""
    return Markup("".join(map(_text, nodes)))


def element(name: str, /, *nodes: Node, **attributes: Attribute) -> Markup:
    """Return an element."""
    head = "".join(_attribute(key, value) for key, value in attributes.items())
    return Markup(f"<{name}{head}>" if name in VOID else f"<{name}{head}>{joined(*nodes)}</{name}>")


def _text(node: Node) -> str:
    if node is None:
        return ""
    if isinstance(node, Markup):
        return str(node)
    if isinstance(node, (str, int, Decimal)):
        return escape(str(node))
    return "".join(map(_text, node))


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    written = name.rstrip("_").replace("_", "-")
    return f" {written}" if value is True else f' {written}="{escape(str(value))}"'


class _Elements:
    """``h.td("text", class_="n")``."""

    def __getattr__(self, name: str) -> Callable[..., Markup]:
        def make(*nodes: Node, **attributes: Attribute) -> Markup:
            return element(name, *nodes, **attributes)

        return make


h: Final = _Elements()

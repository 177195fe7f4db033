"""Tokens and their whole life: active, blocked, deactivated for good; valid from and to; replaced."""

from __future__ import annotations

import re
import secrets
from typing import Final

from simulators.csms.cards import FAILED, TAKEN, standing
from simulators.csms.show import masked
from simulators.csms.state import Token, TokenKind, TokenStatus
from simulators.errors import Misuse
from simulators.panel import layout
from simulators.panel.forms import MOMENT, Form, begin_of, day, end_of, one_of
from simulators.panel.markup import Markup, Node, h, joined
from simulators.panel.view import Done, Page, View, tell_all, the_token

#: A card's UID as readers report it; another token's text (OCPP 1.6: idTag, at most 20 characters).
HEX: Final = re.compile(r"([0-9A-F]{2}){4,10}")
TEXT: Final = re.compile(r"[!-~]{1,20}")
EMA_ID: Final = re.compile(r"[A-Z]{2}[A-Z0-9*-]{6,16}")
FINAL: Final = "the token was deactivated for good"
KINDS: Final = ((TokenKind.CARD, "card"), (TokenKind.VIRTUAL, "virtual: no card needed"), (TokenKind.OTHER, "other"))


def shown(token: Token) -> str:
    """Return what a token is called: its printed number, its EMA-ID, or the end of its UID."""
    return token.number or token.ema_id or masked(token.uid)


def link(view: View, token: Token) -> Markup:
    """Return the name of a token that leads to it."""
    return h.a(shown(token), href=view.path("tokens", token.uid))


def condition(view: View, token: Token) -> Markup:
    """Return the state of a token, with its reason."""
    word: str = token.status
    if token.status is TokenStatus.ACTIVE and token.valid_to is not None and token.valid_to <= view.now:
        word = "expired"
    elif token.status is TokenStatus.ACTIVE and token.valid_from is not None and view.now < token.valid_from:
        word = "not valid yet"
    return joined(layout.badge(word), " ", h.small(token.reason) if token.reason else None)


def show_all(view: View) -> Markup:
    """Return the list, and a form for a new one."""
    heads = ("Token", "UID", "Kind", "State", "Employee", "Valid", "Taken / failed")
    table = layout.table(heads, (_row(view, token) for token in view.tokens), empty="No token yet.", numbers=(6,))
    kinds = [(str(kind), label) for kind, label in KINDS]
    fields = [
        layout.select(view, "add", "Kind", "kind", options=kinds, chosen="card"),
        layout.entry((view, "add"), "UID (virtual, empty: one is made)", "uid", placeholder="62E3086CED"),
        *_fields(view, "add", None),
        layout.tick(view, "add", "Sent by post: the driver activates it", "post"),
    ]
    return joined(
        layout.section("Tokens", table),
        layout.section("A new token", layout.form("add", "Add the token", *fields)),
    )


def _row(view: View, token: Token) -> tuple[Node, ...]:
    standings = [standing(view.state, device.station, token) for device in view.devices if device.state == "linked"]
    taken, failed = (sum(each.status == status for each in standings) for status in (TAKEN, FAILED))
    return (
        link(view, token),
        h.code(masked(token.uid)),
        str(token.kind),
        condition(view, token),
        view.name_of(token.employee) or "-",
        _validity(view, token),
        f"{taken} / {failed}",
    )


def _days(view: View, token: Token) -> tuple[str, str]:
    """Return the first and the last day on which a token is valid; empty where there is no limit."""
    first = "" if token.valid_from is None else f"{token.valid_from.astimezone(view.zone):%Y-%m-%d}"
    last = "" if token.valid_to is None else f"{(token.valid_to - MOMENT).astimezone(view.zone):%Y-%m-%d}"
    return first, last


def _validity(view: View, token: Token) -> str:
    first, last = _days(view, token)
    return f"{first or '...'} to {last or '...'}" if first or last else "always"


def _fields(view: View, do: str, token: Token | None) -> list[Markup]:
    first, last = ("", "") if token is None else _days(view, token)
    fleet = Token("") if token is None else token
    people = [("", "nobody"), *((each.id, each.name) for each in view.employees if each.active)]
    return [
        layout.entry((view, do), "Visual number", "number", fleet.number, placeholder="NL-ACM-C00000042-K"),
        layout.entry((view, do), "EMA-ID", "ema_id", fleet.ema_id),
        layout.select(view, do, "Employee", "employee", options=people, chosen=fleet.employee),
        layout.entry((view, do), "Valid from (empty: always)", "valid_from", first, type="date"),
        layout.entry((view, do), "Valid to, that day too", "valid_to", last, type="date"),
    ]


def show_one(view: View) -> Markup:
    """Return a token."""
    token = the_token(view)
    rows: list[tuple[str, Node]] = [
        ("UID", h.code(token.uid)),
        ("Kind", str(token.kind)),
        ("State", condition(view, token)),
        ("Employee", view.name_of(token.employee) or "nobody"),
        ("Group", token.parent or "-"),
        ("Replaces", masked(token.replaces) or "-"),
    ]
    where = layout.table(
        ("Charger", "Distribution", "Reason", "Tries"),
        (
            (each.station, layout.badge(each.status), each.reason or "-", each.tries)
            for each in (standing(view.state, d.station, token) for d in view.devices if d.state == "linked")
        ),
        empty="No charger is linked.",
        numbers=(3,),
    )
    history = layout.table(
        ("When", "What"),
        ((layout.when(each.at, view.zone), each.text) for each in reversed(token.history)),
        empty="Nothing happened yet.",
    )
    final = token.status is TokenStatus.DEACTIVATED
    change = None if final else layout.section("Change it", layout.form("save", "Save", *_fields(view, "save", token)))
    return joined(
        h.div(
            layout.section(shown(token), layout.facts(rows)),
            layout.section("Its life", _life(view, token)),
            class_="two",
        ),
        change,
        layout.section("Where it is known", where),
        layout.section("History", history),
    )


def _life(view: View, token: Token) -> Node:
    replaced = next((each for each in view.tokens if each.replaces == token.uid), None)
    if token.status is TokenStatus.DEACTIVATED:
        return h.p(
            "Deactivated for good: it stays visible and can never be used again.",
            joined(" It was replaced by ", link(view, replaced), ".") if replaced is not None else None,
        )
    reason = layout.entry((view, "block"), "Reason", "reason", placeholder="lost on the road")
    block = layout.form("block", "Block for a while", reason)
    lift = layout.form("unblock", "Lift the block")
    replace = layout.form(
        "replace",
        "Replace it: the old one is deactivated",
        layout.entry((view, "replace"), "UID of the new card", "uid"),
        layout.entry((view, "replace"), "Visual number", "number"),
        layout.tick(view, "replace", "Sent by post: the driver activates it", "post"),
        grave=True,
    )
    end = layout.form(
        "deactivate",
        "Deactivate for good",
        layout.entry((view, "deactivate"), "Reason", "reason", placeholder="stolen"),
        grave=True,
    )
    return joined(lift if token.status is TokenStatus.BLOCKED else block, replace, end)


# -- actions


def _uid(view: View, form: Form, kind: TokenKind) -> str:
    """Return a UID that is not taken; one is made for a virtual token. Raises Misuse."""
    text = form.text("uid", "UID", most=40, needed=kind is not TokenKind.VIRTUAL).upper()
    if kind is TokenKind.CARD:
        text = re.sub(r"[ :-]", "", text)
    uid = text or f"V{secrets.token_hex(7).upper()}"
    if not (HEX if kind is TokenKind.CARD else TEXT).fullmatch(uid):
        shape = "8 to 20 hexadecimal digits in pairs" if kind is TokenKind.CARD else "at most 20 characters, no blanks"
        raise Misuse(f"UID: {masked(uid)} is not {shape}")
    if uid in view.state.tokens:
        raise Misuse(f"UID: there is a token {masked(uid)} already")
    return uid


def _apply(view: View, form: Form, token: Token) -> None:
    """Take over the fields that all forms have. Raises Misuse: then nothing is changed."""
    number = form.text("number", "visual number", most=36, needed=False)
    ema_id = form.text("ema_id", "EMA-ID", most=20, needed=False).upper()
    if ema_id and not EMA_ID.fullmatch(ema_id):
        raise Misuse(f"EMA-ID: {ema_id!r} is none, as NL-ACM-C00000042-K")
    known = {"", token.employee, *(each.id for each in view.employees)}
    employee = form.choice("employee", "employee", one_of(known))
    first = day(form.text("valid_from", "valid from", needed=False), "valid from")
    last = day(form.text("valid_to", "valid to", needed=False), "valid to")
    if first is not None and last is not None and last < first:
        raise Misuse("valid to: it is before valid from")
    token.number, token.ema_id, token.employee = number, ema_id, employee
    token.valid_from, token.valid_to = begin_of(first, view.zone), end_of(last, view.zone)


async def add(view: View, form: Form) -> Done:
    """Add a token, and send it to the chargers."""
    kind = form.choice("kind", "kind", TokenKind)
    token = Token(_uid(view, form, kind), kind=kind, company=view.company.code)
    _apply(view, form, token)
    _begin(view, form, token)
    return Done(await tell_all(view, f"token {shown(token)} is added"))


def _begin(view: View, form: Form, token: Token) -> None:
    if form.flag("post"):
        token.status = TokenStatus.INACTIVE
    token.note(view.now, "made, the driver has to activate it" if form.flag("post") else "made")
    view.state.tokens[token.uid] = token


async def save(view: View, form: Form) -> Done:
    """Change a token."""
    token = the_token(view)
    if token.status is TokenStatus.DEACTIVATED:
        raise Misuse(FINAL)
    _apply(view, form, token)
    token.note(view.now, "changed")
    return Done(await tell_all(view, "saved"))


async def block(view: View, form: Form) -> Done:
    """Block a token for a while."""
    token, reason = the_token(view), form.text("reason", "reason")
    view.csms.desk.set_status(token.uid, TokenStatus.BLOCKED, reason)
    return Done(await tell_all(view, f"{shown(token)} is blocked"))


async def unblock(view: View, _form: Form) -> Done:
    """Lift a block."""
    token = the_token(view)
    if token.status is not TokenStatus.BLOCKED:
        raise Misuse(f"{shown(token)} is not blocked")
    view.csms.desk.set_status(token.uid, TokenStatus.ACTIVE)
    return Done(await tell_all(view, f"{shown(token)} is active again"))


async def deactivate(view: View, form: Form) -> Done:
    """Deactivate a token for good."""
    if the_token(view).status is TokenStatus.DEACTIVATED:
        raise Misuse(FINAL)
    token, reason = the_token(view), form.text("reason", "reason")
    view.csms.desk.set_status(token.uid, TokenStatus.DEACTIVATED, reason)
    return Done(await tell_all(view, f"{shown(token)} is deactivated for good"))


async def replace(view: View, form: Form) -> Done:
    """Put a new card in the place of one, which is deactivated."""
    old = the_token(view)
    if old.status is TokenStatus.DEACTIVATED:
        raise Misuse(FINAL)
    uid = _uid(view, form, TokenKind.CARD)
    number = form.text("number", "visual number", most=36, needed=False)
    new = Token(
        uid,
        number,
        parent=old.parent,
        valid_from=old.valid_from,
        valid_to=old.valid_to,
        company=view.company.code,
        employee=old.employee,
        replaces=old.uid,
    )
    view.csms.desk.set_status(old.uid, TokenStatus.DEACTIVATED, "replaced")
    _begin(view, form, new)
    return Done(await tell_all(view, f"{shown(old)} is replaced by {shown(new)}"), view.path("tokens", uid))


PAGE: Final = Page(
    "Tokens",
    show_all,
    {"add": add, "save": save, "block": block, "unblock": unblock, "deactivate": deactivate, "replace": replace},
    show_one,
)

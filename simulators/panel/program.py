"""The panel: which address is which page, what a form does, and what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from simulators.csms.billing import settle
from simulators.csms.courier import Courier
from simulators.csms.server import Csms
from simulators.errors import Misuse, SimulatorError
from simulators.panel import (
    billing,
    companies,
    company,
    dashboard,
    devices,
    distribution,
    employees,
    layout,
    rates,
    sessions,
    tokens,
    workbook,
)
from simulators.panel.forms import Form
from simulators.panel.markup import Markup
from simulators.panel.view import Done, Page, View
from simulators.panel.web import Request, Response, Web

PAGES: Final[Mapping[str, Page]] = {
    "": dashboard.PAGE,
    "devices": devices.PAGE,
    "employees": employees.PAGE,
    "tokens": tokens.PAGE,
    "distribution": distribution.PAGE,
    "rates": rates.PAGE,
    "sessions": sessions.PAGE,
    "billing": billing.PAGE,
    "company": company.PAGE,
}
FILES: Final[Mapping[str, Callable[[View], bytes]]] = {
    "billing.xlsx": workbook.of_month,
    "sessions.xlsx": workbook.of_sessions,
}
EXCEL: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
STYLE: Final = Path(__file__).with_name("style.css").read_bytes()
#: The dashboard shows what happens; how often refunds are looked at that become due.
REFRESH_S: Final = 10
SETTLE_S: Final = 5.0
#: How many outcomes are kept for the page that follows.
MOST_NOTES: Final = 100


class Panel:
    """A web page beside a central system; an asynchronous context manager. port 0: any free one."""

    def __init__(self, csms: Csms, port: int) -> None:
        self._csms = csms
        self._courier = Courier(csms)
        self._web = Web(self._respond, port)
        self._notes: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._stack = contextlib.AsyncExitStack()
        self._settling: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return self._web.url

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._web)
        await self._stack.enter_async_context(self._courier)
        self._settling = asyncio.create_task(self._settle())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._settling is not None:
            self._settling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._settling
        await self._stack.aclose()

    async def _settle(self) -> None:
        while True:
            paid = len(self._csms.state.payments)
            settle(self._csms.state, self._csms.policy.zone, datetime.now(UTC))
            if len(self._csms.state.payments) != paid:
                with contextlib.suppress(Misuse):  # a full disk is told to who does something, and to stations
                    self._csms.save()
            await asyncio.sleep(SETTLE_S)

    async def _respond(self, request: Request) -> Response:
        match request.path:
            case ("style.css",):
                return Response(STYLE, kind="text/css; charset=utf-8")
            case ():
                codes = list(self._csms.state.companies)
                view = View(self._csms, self._courier, self._csms.state.companies[codes[0]], _now()) if codes else None
                return _see("/companies" if view is None or len(codes) > 1 else view.path())
            case ("companies",):
                return await self._companies(request)
            case (code, *rest) if code in self._csms.state.companies:
                return await self._company(code, rest, request)
            case _:
                return _missing("there is no such page")

    async def _companies(self, request: Request) -> Response:
        note, error = self._notes.pop(request.query.get("note", ""), ""), ""
        if request.form is not None:
            try:
                done = await companies.create(self._csms, Form(request.form))
                self._csms.save()
                return self._done(done)
            except Misuse as misuse:
                error = str(misuse)
        body = companies.show(self._csms, note, error, dict(request.form or {}))
        return _page("Companies", body, error)

    async def _company(self, code: str, rest: list[str], request: Request) -> Response:
        name, item = (*rest, "", "")[:2]
        note = self._notes.pop(request.query.get("note", ""), "")
        place = View(
            self._csms, self._courier, self._csms.state.companies[code], _now(), item, request.query, note=note
        )
        if len(rest) == 1 and name in FILES:
            return _file(place, name)
        page = PAGES.get(name)
        if page is None or len(rest) > 2 or (item and page.one is None):  # noqa: PLR2004 - page and item
            return _missing("there is no such page")
        if request.form is None:
            return _shown(place, name, page)
        return await self._act(place, name, page, request.form)

    async def _act(self, view: View, name: str, page: Page, typed: Mapping[str, str]) -> Response:
        action = page.actions.get(typed.get("do", ""))
        if action is None:
            return _missing("there is no such action")
        try:
            done = await action(view, Form(typed))
            self._csms.save()
        except (SimulatorError, TimeoutError) as error:
            return _shown(replace(view, typed=typed, error=str(error), now=_now()), name, page)
        here = view.path(*([name] if name else []), *([view.item] if view.item else []))
        return self._done(replace(done, to=done.to or here))

    def _done(self, done: Done) -> Response:
        """Lead to the page that tells what was done; loading it again does nothing again."""
        number = str(next(self._numbers))
        self._notes[number] = done.text
        if len(self._notes) > MOST_NOTES:
            self._notes.pop(next(iter(self._notes)))
        return _see(f"{done.to}?note={number}")


def _now() -> datetime:
    return datetime.now(UTC)


def _see(location: str) -> Response:
    return Response(b"", HTTPStatus.SEE_OTHER, location=location)


def _missing(what: str) -> Response:
    return Response(f"{what}\n".encode(), HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8")


def _page(title: str, body: Markup, error: str, refresh_s: int = 0) -> Response:
    status = HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK
    return Response(layout.document(title, body, refresh_s=refresh_s), status)


def _shown(view: View, name: str, page: Page) -> Response:
    """Return a page; where what is asked for does not exist, only why."""
    try:
        content = (page.one or page.show)(view) if view.item else page.show(view)
    except Misuse as misuse:
        return _missing(str(misuse))
    title = f"{page.title} - {view.company.name}"
    refresh_s = 0 if name else REFRESH_S
    return _page(title, layout.frame(view, name, page.title, content), view.error, refresh_s)


def _file(view: View, name: str) -> Response:
    try:
        content = FILES[name](view)
    except Misuse as misuse:
        return _missing(str(misuse))
    day = billing.month_shown(view) if name.startswith("billing") else f"{view.now:%Y-%m-%d}"
    return Response(content, kind=EXCEL, name=f"{name.removesuffix('.xlsx')}-{day}.xlsx")

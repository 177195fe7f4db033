"""What a page is made from, and what pages and their actions are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias
from urllib.parse import quote
from zoneinfo import ZoneInfo

from simulators.csms.billing import Bill, bill, company_of, month_of
from simulators.csms.cards import of_company
from simulators.csms.company import settings_of
from simulators.csms.courier import Courier
from simulators.csms.server import Csms
from simulators.csms.show import masked
from simulators.csms.state import Company, Device, Employee, JsonObject, Rate, State, Token
from simulators.errors import Misuse, SimulatorError
from simulators.panel.forms import Form
from simulators.panel.markup import Markup


@dataclass(frozen=True, slots=True)
class View:
    """A company at a moment. item: the thing that the page is about, empty for all. query: behind the question mark.

    typed: what is shown again in the form that was refused, whose name is in ``do``. note, error: what the last action
    came to.
    """

    csms: Csms
    courier: Courier
    company: Company
    now: datetime
    item: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    typed: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    error: str = ""

    @property
    def state(self) -> State:
        """All that the central system knows."""
        return self.csms.state

    @property
    def zone(self) -> ZoneInfo:
        """Time zone of prices, days and months."""
        return self.csms.policy.zone

    @property
    def month(self) -> str:
        """The month that runs."""
        return month_of(self.now, self.zone)

    @property
    def devices(self) -> list[Device]:
        """The chargers that gave the company's code."""
        return [each for each in self.state.devices.values() if each.company == self.company.code]

    @property
    def employees(self) -> list[Employee]:
        """The employees by name."""
        mine = [each for each in self.state.employees.values() if each.company == self.company.code]
        return sorted(mine, key=lambda each: each.name.casefold())

    @property
    def tokens(self) -> list[Token]:
        """The cards of the company, and those of nobody in particular."""
        return of_company(self.state, self.company.code)

    @property
    def rates(self) -> list[Rate]:
        """The rates by name."""
        mine = [each for each in self.state.rates.values() if each.company == self.company.code]
        return sorted(mine, key=lambda each: each.name.casefold())

    @property
    def bills(self) -> list[Bill]:
        """The sessions that the company may see, with their price, oldest first."""
        mine = [each for each in self.state.sessions if company_of(self.state, each) == self.company.code]
        return [bill(self.state, each, self.zone) for each in mine]

    def path(self, *parts: str) -> str:
        """Return the address of a page of the company."""
        return "/" + "/".join(quote(part, safe="") for part in (self.company.code, *parts))

    def name_of(self, employee: str) -> str:
        """Return the name of an employee by id; empty for nobody."""
        found = self.state.employees.get(employee)
        return "" if found is None else found.name

    def settings(self, device: Device | None = None) -> JsonObject:
        """Return the settings in force for a charger, or the company's."""
        whose = Device("", self.company.code, self.now) if device is None else device
        return settings_of(self.state, whose)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an action, in words; to: the page that follows, empty for the same one."""

    text: str
    to: str = ""


def the_device(view: View) -> Device:
    """Return the charger that the page is about. Raises Misuse."""
    device = view.state.devices.get(view.item)
    if device is None or device.company != view.company.code:
        raise Misuse(f"no charger {view.item} has given the code of this company")
    return device


def the_employee(view: View) -> Employee:
    """Return the employee that the page is about. Raises Misuse."""
    employee = view.state.employees.get(view.item)
    if employee is None or employee.company != view.company.code:
        raise Misuse(f"no employee {view.item} here")
    return employee


def the_token(view: View) -> Token:
    """Return the card that the page is about. Raises Misuse."""
    token = view.state.tokens.get(view.item.upper())
    if token is None or token.company not in {"", view.company.code}:
        raise Misuse(f"no card {masked(view.item)} here")
    return token


def the_rate(view: View) -> Rate:
    """Return the rate that the page is about. Raises Misuse."""
    rate = view.state.rates.get(f"{view.company.code}/{view.item}")
    if rate is None:
        raise Misuse(f"no rate {view.item!r} here")
    return rate


Show: TypeAlias = Callable[[View], Markup]
Action: TypeAlias = Callable[[View, Form], Awaitable[Done]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a company: of all things of a kind, or of one. actions: by the name in ``do``."""

    title: str
    show: Show
    actions: Mapping[str, Action]
    one: Show | None = None


def rate_name(settings: JsonObject) -> str:
    """Return the name of the rate in settings, which is the tariff's id; empty where there is none."""
    return str((settings.get("tariff") or {}).get("id", ""))


async def told(deed: Awaitable[object], done: str) -> str:
    """Do what chargers are told of; return in words what came of it. Raises Misuse: nothing was done."""
    try:
        await deed
    except Misuse:
        raise
    except (SimulatorError, TimeoutError) as error:
        return f"{done}, but {error}"
    return done


async def tell_all(view: View, done: str) -> str:
    """Tell the company's chargers that are connected what is due; return in words what came of it."""
    missed = []
    for device in view.devices:
        if device.station in view.csms.connected:
            try:
                await view.courier.deliver(device.station)
            except (SimulatorError, TimeoutError) as error:
                missed.append(str(error))
    return f"{done}, but {'; '.join(missed)}" if missed else done

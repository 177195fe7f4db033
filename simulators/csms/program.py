"""``wallbox-sim csms``: options, and the line commands of somebody who plays the employer and the operator."""

from __future__ import annotations

import argparse
import contextlib
import ssl
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from simulators.console import Commands, converse, run, say
from simulators.csms import notation, show
from simulators.csms.breaking import described
from simulators.csms.certificates import Files, in_folder
from simulators.csms.commands import Commander
from simulators.csms.second_screen import open_panel
from simulators.csms.server import Csms, Setup
from simulators.csms.store import Store
from simulators.csms.v16 import Policy
from simulators.errors import Misuse

THROW_AWAY: Final = (
    "wss with a certificate of a throw-away authority, both kept there; give stations FOLDER/ca.pem as ca_file"
)
PANEL: Final = "the employer's side as a web page on 127.0.0.1; 0: any free port"
ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - compared with


def add_csms(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``wallbox-sim csms``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"{parser.epilog or ''}\n\nWhat it can be told to do wrong:\n{described()}"
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for chargers in the network (%(default)s)")
    add("--port", type=int, default=8180, help="0: any free port (default: %(default)s)")
    add("--company", action="append", default=[], metavar=notation.COMPANY)
    add("--token", action="append", default=[], metavar=notation.TOKEN)
    add("--accept-unknown", action="store_true", help="accept cards that are not known")
    add(
        "--tariff",
        metavar="RATE",
        help=f"default rate: {notation.RATE}; DAY holds on weekdays and WEEKEND at weekends between the two times, "
        "FILE has an OCPI tariff; prices per kWh without VAT, VAT in percent",
    )
    add("--timezone", default="Europe/Amsterdam", help="of prices and months (default: %(default)s)")
    add("--interval", type=int, default=300, metavar="S", help="heartbeat interval told to stations (default: 300)")
    add("--boot", choices=("Accepted", "Pending", "Rejected"), default="Accepted", help="answer to boots (Accepted)")
    add("--state", type=Path, metavar="FILE", help="keep companies, cards, chargers and sessions in a file")
    add("--files", type=Path, metavar="FOLDER", help="where logs and diagnostics go that stations send")
    add("--password", action="append", default=[], metavar="STATION:PASSWORD", help="ask for HTTP basic authentication")
    add("--tls", type=Path, metavar="FOLDER", help=THROW_AWAY)
    add("--tls-port", type=int, metavar="PORT", help="with --tls: ws on --port as ever, and wss here beside it")
    add("--tls-cert", type=Path, metavar="FILE", help="PEM, with the chain; wss instead of ws")
    add("--tls-key", type=Path, metavar="FILE", help="PEM; not needed where the key is in the other file")
    add("--tls-name", action="append", default=[], metavar="HOST", help="more host names and addresses for --tls")
    add("--plain", action="store_true", help="know nothing of company codes, as other central systems")
    add("--quiet", action="store_true", help="print no messages")
    add("--panel", type=int, metavar="PORT", help=PANEL)
    add("--data", type=Path, metavar="FILE", help="keep everything in this SQLite file; --panel keeps it while it runs")
    add("--control", type=Path, metavar="SOCKET", help="Unix socket for `wallbox-sim tell SOCKET ...`")
    parser.set_defaults(run=lambda options: run(_csms(options)))


async def _csms(options: argparse.Namespace) -> None:
    authority = _files(options).signer() if options.tls is not None else None
    async with contextlib.AsyncExitStack() as stack:
        csms = await stack.enter_async_context(Csms(_setup(options, _store(options, stack))))
        csms.company_link.enabled = not options.plain
        if not options.quiet:
            csms.log.listeners.append(lambda entry: say(show.line(entry)))
        commands = Commands()
        commander = Commander(csms, options.files, authority)
        commander.add_to(commands)
        beside = "" if csms.secure_port is None else f", and wss on port {csms.secure_port}"
        banner = f"central system at {csms.url}/STATION-ID{beside}"
        if options.panel is not None:
            banner = f"{banner}\npanel at {await open_panel(csms, options.panel, stack)}"
        try:
            await converse(commands, options.control, banner=banner)
        finally:
            commander.upkeep.close()


def _store(options: argparse.Namespace, stack: contextlib.AsyncExitStack) -> Store | None:
    if options.data is not None and options.state is not None:
        raise Misuse("--data and --state both keep everything: only one of them")
    if options.data is None and (options.panel is None or options.state is not None):
        return None
    return stack.enter_context(Store(options.data))


def _setup(options: argparse.Namespace, store: Store | None) -> Setup:
    context, apart = _tls(options), options.tls_port is not None
    if apart and options.tls is None:
        raise Misuse("--tls-port needs --tls")
    return Setup(
        host=options.host,
        port=options.port,
        companies=tuple(map(notation.company, options.company)),
        tokens=tuple(map(notation.token, options.token)),
        tariff=None if options.tariff is None else notation.tariff(options.tariff),
        policy=Policy(options.boot, options.interval, options.accept_unknown, zone=_zone(options.timezone)),
        state_file=options.state,
        passwords=dict(_pair(text) for text in options.password),
        ssl=None if apart else context,
        secure_port=options.tls_port,
        secure=context if apart else None,
        store=store,
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise Misuse(f"unknown time zone {name!r}") from None


def _pair(text: str) -> tuple[str, str]:
    first, colon, second = text.partition(":")
    if not colon:
        raise Misuse(f"{text!r}: a colon is missing")
    return first, second


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    certificate, key = options.tls_cert, options.tls_key
    if options.tls is not None:
        if certificate is not None:
            raise Misuse("--tls makes a certificate, --tls-cert gives one: only one of them")
        files = _files(options)
        certificate, key = files.certificate, files.key
    if certificate is None:
        if key is not None:
            raise Misuse("--tls-key needs --tls-cert")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise Misuse(f"{certificate} with {key or certificate} is no certificate with its key: {error}") from None
    if options.tls is not None:  # stations may present a certificate; `demand certificate` makes them
        context.load_verify_locations(_files(options).authority)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _files(options: argparse.Namespace) -> Files:
    names = ("localhost", "127.0.0.1", "::1", *([options.host] if options.host != ANY_ADDRESS else []))
    return in_folder(options.tls, tuple(dict.fromkeys((*names, *options.tls_name))))

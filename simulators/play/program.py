"""``wallbox-sim play``: options, and the life of the program."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

from simulators.csms.second_screen import open_panel
from simulators.errors import Misuse, SimulatorError
from simulators.play.both_sides import table_of
from simulators.play.moves import Moves
from simulators.play.news import Who
from simulators.play.plain import Plain
from simulators.play.screen import Screen
from simulators.play.world import STATION, Wishes, World

STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SLOWEST, FASTEST = 0.1, 300.0
EPILOG: Final = """\
With a terminal, keys do at once what they stand for and Enter lets a line be typed; ? lists both. Without one (or with
--plain) lines are read from standard input, the same words, and what changes is printed. A script waits with
`expect TEXT`, and the exit status is 1 where one of its lines failed:

  printf '%s\\n' plug 'tap 1' 'expect session started' 'wait 6' 'tap 1' 'expect session: none' | wallbox-sim play
"""


class _Parser(argparse.ArgumentParser):
    """A parser that needs one line to say what is wrong."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str]) -> int:
    """Run ``wallbox-sim play``.

    Returns 0 after a clean end, 1 where a line of a script failed, 2 for wrong usage or where it could not start.
    """
    options = _parser().parse_args(argv)
    try:
        with _folder(options.folder) as folder:
            return asyncio.run(_play(folder, options))
    except (SimulatorError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


@contextlib.contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    """Yield the folder to play in, a temporary one where none is wanted. Raises: Misuse, OSError."""
    if wanted is None:
        with tempfile.TemporaryDirectory(prefix="wallbox-play-") as folder:
            yield Path(folder)
        return
    if (wanted / "agent.toml").exists():
        raise Misuse(f"{wanted} is of an earlier play: take another folder, or remove it")
    wanted.mkdir(parents=True, exist_ok=True)
    yield wanted.resolve()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="wallbox-sim play",
        description="Play the day at a charger: cards, car, network and power cuts, with both sides in view.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--speed", type=_speed, default=60.0, metavar="FACTOR", help="of car and meter (default: 60)")
    add("--two", action="store_true", help="two connectors; Tab, or a number behind the word, tells which is meant")
    add("--secure", action="store_true", help="wss with a password (security profile 2) instead of ws")
    add("--plain", action="store_true", help="lines instead of a screen, also on a terminal")
    add("--panel", type=int, metavar="PORT", help="the employer's side as a web page on 127.0.0.1; 0: any free port")
    add("--folder", type=Path, help="keep configuration, ledger and log there, to look at them afterwards")
    return parser


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None
    if not SLOWEST <= speed <= FASTEST:
        raise argparse.ArgumentTypeError(f"{text} is not from {SLOWEST:g} to {FASTEST:g}")
    return speed


async def _play(folder: Path, options: argparse.Namespace) -> int:
    world = World(folder, Wishes(options.speed, options.two, options.secure))
    moves = Moves(world)
    loop = asyncio.get_running_loop()
    for stop in STOPPING:
        loop.add_signal_handler(stop, moves.commands.quitting.set)
    on_screen = not options.plain and Screen.possible()
    async with world, contextlib.AsyncExitStack() as stack:
        if options.panel is not None:
            text = f"panel at {await open_panel(world.csms, options.panel, stack)}"
            world.news.tell(Who.PLAY, text) if on_screen else print(text, flush=True)
        if on_screen:
            await Screen(world, moves).run()
            await _farewell(world)
            if options.folder is not None:
                print(f"configuration, ledger and log are in {folder}")
            return 0
        plain = Plain(world, moves)
        await plain.run()
        return 1 if plain.failed else 0


async def _farewell(world: World) -> None:
    """Print what is left to see when the screen is gone."""
    try:
        sessions = await world.agent.command("sessions", "list")
    except SimulatorError as error:
        print(f"the agent's sessions cannot be listed: {error}", file=sys.stderr)
        return
    print(table_of(sessions, world.csms.sessions(STATION)))
    for violation in world.csms.violations:
        print(f"the central system complains: {violation}")

"""What is wrong with a definition although each of its keys is right by itself, in words that begin with the key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from agent.fieldbus.control import Change, Connectors, Control, Rule, SetBit, Watchdog, Write
from agent.fieldbus.points import BITS, LAST_REGISTER, RANGE, WRITABLE, Bus, Chain, Combined, Point, Points, Whole
from agent.fieldbus.registers import FLOATS, SIGNED, TEXTS, WireType

#: Types that a mask can be laid over.
MASKED: Final = frozenset({WireType.U16, WireType.U32, WireType.U64})
#: Types that a number can be written as.
WRITTEN: Final = frozenset({WireType.BIT, *SIGNED, *FLOATS, *MASKED})
ONE_COIL: Final = 5
ONE_REGISTER: Final = 6
SCALE_DIGITS: Final = 20
"""No unit differs from another by more, and values stay exact."""


def point_faults(points: Points, bus: Bus) -> Iterator[str]:
    """Yield what is wrong with points by themselves."""
    for group, members in points.groups.items():
        for name, point in members.items():
            yield from (f"points.{group}.{name}.{fault}" for fault in (*_extent(point, bus), *_contents(point)))
            if group == "command" and point.function not in WRITABLE:
                yield f"points.{group}.{name}.function: {point.function} is not allowed: 1 or 3, what can be written"


def combined_faults(combined: Mapping[str, Combined], points: Points) -> Iterator[str]:
    """Yield what is wrong with computed points."""
    for name, made in combined.items():
        key = f"combined.{name}.add, subtract"
        if bool(made.add) == bool(made.subtract) or len(made.parts) < 2:  # noqa: PLR2004  two operands
            yield f"{key}: one of them, with at least two points"
        yield from (
            f"{key}: {part!r} is not allowed: not in points.poll" for part in made.parts if part not in points.poll
        )


def block_faults(blocks: Sequence[Whole], bus: Bus) -> Iterator[str]:
    """Yield what is wrong with registers that are read as a whole."""
    for place, block in enumerate(blocks):
        key = f"blocks.{place}"
        if block.count > bus.max_registers:
            yield f"{key}.count: {block.count} is not allowed: at most bus.max_registers ({bus.max_registers})"
        if block.address + block.count - 1 > LAST_REGISTER:
            yield f"{key}.address: {block.address} is not allowed: the block ends behind register {LAST_REGISTER}"
        if block.otherwise is not None and block.otherwise >= block.count:
            yield f"{key}.otherwise: {block.otherwise} is not allowed: less than count ({block.count})"


def chain_faults(chain: Chain | None, points: Points) -> Iterator[str]:
    """Yield what is wrong with a chain, and with the points that are said to be in it."""
    models = () if chain is None else chain.models
    for group, members in points.groups.items():
        for name, point in members.items():
            if point.within is not None and point.within not in models:
                yield f"points.{group}.{name}.within: {point.within!r} is not allowed: not in chain.models"
            elif point.within is not None and chain is not None and point.function != chain.function:
                yield f"points.{group}.{name}.function: {point.function} is not allowed: that of the chain"
    if chain is None:
        return
    if chain.marker >> 32:
        yield f"chain.marker: {chain.marker:#x} is not allowed: two registers"
    yield from (f"chain.{key}: is empty" for key in ("starts", "models") if not getattr(chain, key))
    yield from (f"chain.models.{name}: is empty: the ids of a model" for name, ids in chain.models.items() if not ids)


def control_faults(control: Control, points: Points) -> Iterator[str]:
    """Yield what is wrong with how a controller is told and understood."""
    yield from _rule_faults(control.rules, points)
    yield from _limit_faults(control, points)
    for key in ("pause", "resume", "keep"):
        yield from _write_faults(f"control.{key}", getattr(control, key), control.function, points)
    if control.heartbeat is not None:
        yield from _write_faults("control.heartbeat.writes", control.heartbeat.writes, control.function, points)
    if not control.pause:
        yield "control.pause: is empty: nothing would withdraw the offer"
    if control.watchdog is not None:
        yield from _watchdog_faults(control.watchdog, control.rules)
    yield from _setting_faults(control, points)
    if control.minimum_a > control.maximum_a:
        yield f"control.minimum_a: {control.minimum_a} is not allowed: at most maximum_a ({control.maximum_a})"


def change_faults(changes: Mapping[str, Mapping[str, Change]], control: Control, points: Points) -> Iterator[str]:
    """Yield what is wrong with options and variants, by the key of their table."""
    for table, named in changes.items():
        for name, change in named.items():
            yield from (f"{table}.{name}.{fault}" for fault in _one_change(change, control, points))


def connector_faults(connectors: Connectors, points: Points) -> Iterator[str]:
    """Yield what is wrong with where further connectors have their registers."""
    last = max((point.address + point.width - 1 for point in points.every.values()), default=0)
    if last >= connectors.first and last + connectors.step * (connectors.most - 1) > LAST_REGISTER:
        words = f"connector {connectors.most} ends behind register {LAST_REGISTER}"
        yield f"connectors.step: {connectors.step} is not allowed: {words}"


def _extent(point: Point, bus: Bus) -> Iterator[str]:
    if (point.type is WireType.ASCII) != (point.count is not None):
        yield f"count: {point.count} is not allowed: the registers of an ascii point, and of no other"
    if (point.type is WireType.BIT) != (point.function in BITS):
        yield f"type: {str(point.type)!r} is not allowed: 'bit' with function 1 and 2, and with no other"
    if point.address + point.width - 1 > LAST_REGISTER:
        yield f"address: {point.address} is not allowed: the value ends behind register {LAST_REGISTER}"
    if point.width > bus.max_registers:
        yield f"type: {point.width} registers are more than bus.max_registers ({bus.max_registers})"


def _contents(point: Point) -> Iterator[str]:
    yield from _scale_faults(point.scale)
    for bits in point.invalid:
        if bits >> 16 * point.width:
            yield f"invalid: {bits:#x} is not allowed: at most {point.width} registers"
    if point.mask is not None and point.type not in MASKED:
        yield f"mask: is not allowed: only with {_listed(MASKED)}"
    elif point.mask is not None and (not point.mask or point.mask >> 16 * point.width):
        yield f"mask: {point.mask:#x} is not allowed: bits of the {point.width} registers"
    for word in point.accept:
        if point.type in TEXTS and not isinstance(word, str):
            yield f"accept: {word!r} is not allowed: a text"
        elif point.type not in TEXTS and isinstance(word, str) and RANGE.fullmatch(word) is None:
            yield f'accept: {word!r} is not allowed: a number, or "330..345" for those from 330 to 345'


def _scale_faults(scale: Decimal) -> Iterator[str]:
    if not scale:
        yield "scale: 0 is not allowed: every value would be 0"
    elif abs(scale.adjusted()) > SCALE_DIGITS or len(scale.as_tuple().digits) > SCALE_DIGITS:
        yield f"scale: {scale:.6E} is not allowed: a number of at most {SCALE_DIGITS} digits"


def _rule_faults(rules: Sequence[Rule], points: Points) -> Iterator[str]:
    for place, rule in enumerate(rules):
        for key, names in (("when", rule.when), ("bits", rule.bits)):
            yield from _unknown(f"control.rules.{place}.{key}", names, points.poll, "points.poll")
        for name, words in rule.when.items():
            point = points.poll.get(name)
            wrong = [word for word in words if point and isinstance(word, str) != (point.type in TEXTS)]
            if point and wrong:
                yield f"control.rules.{place}.when.{name}: {wrong[0]!r} is not allowed: {_wanted(point)}"
        for name, bit in rule.bits.items():
            if name in points.poll:
                yield from _bit_faults(f"control.rules.{place}.bits.{name}", points.poll[name], bit)


def _limit_faults(control: Control, points: Points) -> Iterator[str]:
    point = points.every.get(control.limit)
    if point is not None and point.type is WireType.BIT:
        yield f"control.limit: {control.limit!r} is not allowed: a bit holds no current"
    elif point is not None and control.limit not in points.identity:
        yield from _writable("control.limit", control.limit, point, control.function)
    else:
        yield f"control.limit: {control.limit!r} is not allowed: not in points.poll, inspection or command"
    if control.readback is not None:
        yield from _unknown("control.readback", [control.readback], points.poll, "points.poll")


def _write_faults(key: str, writes: Sequence[Write], function: int, points: Points) -> Iterator[str]:
    known = {**points.poll, **points.inspection, **points.command}
    yield from _unknown(key, [write.point for write in writes], known, "points.poll, inspection or command")
    for write in writes:
        point = known.get(write.point)
        if point is None:
            continue
        yield from _writable(key, write.point, point, function)
        if point.type in WRITTEN and not _fits(point, write.value):
            yield f"{key}: {write.value} is not allowed: it does not fit into {write.point} ({point.type})"


def _fits(point: Point, value: int) -> bool:
    try:
        point.words(Decimal(value))
    except ValueError:
        return False
    return True


def _writable(key: str, name: str, point: Point, function: int) -> Iterator[str]:
    code = point.write or (ONE_COIL if point.function in BITS else function)
    if point.function not in WRITABLE:
        yield f"{key}: {name!r} is not allowed: function {point.function} reads what cannot be written"
    elif point.type not in WRITTEN or point.mask is not None:
        yield f"{key}: {name!r} is not allowed: only a number that fills its registers can be written"
    elif (code == ONE_COIL) != (point.function in BITS):
        yield f"{key}: {name!r} is not allowed: function 5 writes coils, 6 and 16 write registers"
    elif code == ONE_REGISTER and point.width > 1:
        yield f"{key}: {name!r} is not allowed: function 6 writes one register, not {point.width}; use 16"


def _watchdog_faults(watchdog: Watchdog, rules: Sequence[Rule]) -> Iterator[str]:
    least, default, most = watchdog.least_s, watchdog.default_s, watchdog.most_s
    if not least <= default <= most:
        yield f"control.watchdog.default_s: {default} is not allowed: from least_s ({least}) to most_s ({most})"
    if watchdog.fault is not None and watchdog.fault not in {rule.fault for rule in rules}:
        yield f"control.watchdog.fault: {watchdog.fault!r} is not allowed: the fault of one of the rules"


def _setting_faults(control: Control, points: Points) -> Iterator[str]:
    """Look at the points that are held against what they should be, or that tell what the hardware can."""
    seen = {**points.poll, **points.inspection}
    kept = [write.point for write in control.keep if write.point in points.command]
    yield from (f"control.keep: {name!r} is not allowed: it is never read" for name in kept)
    watchdog = None if control.watchdog is None else control.watchdog.point
    for key, name in (("control.failsafe", control.failsafe), ("control.watchdog.point", watchdog)):
        if name is not None and name in seen:
            yield from _writable(key, name, seen[name], control.function)
        elif name is not None:
            yield f"{key}: {name!r} is not allowed: not in points.inspection or poll"
    for key, name in (("control.minimum", control.minimum), ("control.maximum", control.maximum)):
        yield from _unknown(key, [name] if name else [], points.identity, "points.identity")


def _one_change(change: Change, control: Control, points: Points) -> Iterator[str]:
    yield from _unknown("scale", change.scale, points.every, "points")
    yield from _unknown("read", change.read, points.every, "points")
    for scale in change.scale.values():
        yield from _scale_faults(scale)
    function = change.function or control.function
    for key in ("pause", "resume"):
        yield from _write_faults(key, getattr(change, key) or (), function, points)
    if change.check is not None:
        yield from _check_faults(change.check, points)


def _check_faults(check: SetBit, points: Points) -> Iterator[str]:
    yield from _unknown("check", [check.point], points.inspection, "points.inspection")
    if check.point in points.inspection:
        yield from _bit_faults("check", points.inspection[check.point], check.bit)


def _bit_faults(key: str, point: Point, bit: int) -> Iterator[str]:
    if point.type in TEXTS or bit >= 16 * point.width:
        yield f"{key}: {bit} is not allowed: a bit of a number with {16 * point.width} bits"


def _unknown(key: str, names: Iterable[str], known: Iterable[str], where: str) -> Iterator[str]:
    places = set(known)
    yield from (f"{key}: {name!r} is not allowed: not in {where}" for name in names if name not in places)


def _wanted(point: Point) -> str:
    return "a text" if point.type in TEXTS else "a number"


def _listed(types: Iterable[WireType]) -> str:
    return ", ".join(sorted(types))

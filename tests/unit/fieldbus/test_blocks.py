"""Planning of requests, and what is asked for where a device refuses."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.evse.modbus_evse import DEFINITIONS as CONTROLLERS
from agent.fieldbus.blocks import Block, plan, split
from agent.fieldbus.definition import Definition, find
from agent.fieldbus.points import Bus, Point, Points, Whole
from agent.fieldbus.registers import WireType
from agent.meter.modbus_meter import DEFINITIONS as METERS

KINDS = {1: WireType.U16, 2: WireType.F32, 4: WireType.U64}


def definition(
    points: dict[str, tuple[int, int, int]], *, limit: int = 125, gap: int = 125, blocks: tuple[Whole, ...] = ()
) -> Definition:
    """Return a definition with points given as (function, address, width)."""
    poll = {
        name: Point(3 if function == 3 else 4, address, KINDS[width])
        for name, (function, address, width) in points.items()
    }
    bus = Bus(baudrate=9600, parity="N", stop_bits=1, max_registers=limit, max_gap=gap)
    return Definition("example", "Example", "none", bus, Points(poll), blocks=blocks)


def requests(of: Definition) -> list[tuple[int, int, int]]:
    return [(block.function, block.address, block.count) for block in plan(of, of.points.poll)]


def test_a_poll_of_the_sdm630_is_one_request() -> None:
    sdm630 = find(METERS, "eastron_sdm630_v2")
    assert requests(sdm630) == [(4, 0, 76)]
    assert [(b.function, b.address, b.count) for b in plan(sdm630, sdm630.points.identity)] == [(3, 64512, 3)]


def test_a_poll_of_the_evse_din_is_one_request_of_ten() -> None:
    evse_din = find(CONTROLLERS, "evse_din")
    (block,) = plan(evse_din, evse_din.points.poll)
    assert (block.address, block.count, block.otherwise, block.whole) == (1000, 10, 7, True)


def test_a_poll_of_the_sdm120_keeps_to_twenty_registers() -> None:
    assert requests(find(METERS, "eastron_sdm120")) == [(4, 0, 14), (4, 30, 2), (4, 70, 6)]


def test_a_poll_of_the_abb_b23_is_two_requests_and_the_energy_comes_last() -> None:
    abb_b23 = find(METERS, "abb_b23")
    assert requests(abb_b23) == [(3, 0x5B00, 62), (3, 0x5000, 8)]
    assert [(b.address, b.count) for b in plan(abb_b23, abb_b23.points.identity)] == [(0x8900, 102)]


def test_a_poll_of_the_heidelberg_box_reads_nothing_along() -> None:
    heidelberg = find(CONTROLLERS, "heidelberg")
    assert requests(heidelberg) == [(3, 261, 2), (4, 4, 15)]
    names = [*heidelberg.points.identity, *heidelberg.points.inspection]
    found = [(b.function, b.address, b.count) for b in plan(heidelberg, names)]
    assert sorted(found) == [(3, 257, 2), (3, 259, 1), (4, 4, 1), (4, 100, 2), (4, 200, 1), (4, 203, 1)]


def test_registers_that_nobody_wants_are_read_along_as_far_as_the_device_bears() -> None:
    points = {"energy_import": (4, 10, 2), "a": (4, 0, 2), "b": (4, 4, 2), "c": (4, 13, 2), "power_total": (4, 16, 2)}
    assert requests(definition(points, gap=1)) == [(4, 0, 2), (4, 4, 2), (4, 10, 8)]
    assert requests(definition(points, gap=0)) == [(4, 0, 2), (4, 4, 2), (4, 13, 2), (4, 16, 2), (4, 10, 2)]
    assert requests(definition(points, gap=4)) == [(4, 0, 18)]


def test_a_limit_of_registers_is_kept_and_no_value_is_cut() -> None:
    of = definition({"a": (4, 0, 2), "b": (4, 6, 2), "c": (4, 12, 2), "d": (4, 30, 2), "e": (4, 70, 2)}, limit=20)
    assert requests(of) == [(4, 0, 14), (4, 30, 2), (4, 70, 2)]


def test_energy_and_power_are_read_together_and_last() -> None:
    points = {"power_total": (4, 12, 2), "energy_import": (4, 24, 2), "first": (4, 0, 2), "far": (4, 60, 2)}
    assert requests(definition(points, limit=20)) == [(4, 0, 2), (4, 60, 2), (4, 12, 14)]
    assert requests(definition(points, limit=10)) == [(4, 0, 2), (4, 12, 2), (4, 60, 2), (4, 24, 2)]


def test_both_kinds_of_registers_are_asked_for_apart() -> None:
    assert requests(definition({"a": (4, 0, 2), "b": (3, 2, 2)})) == [(3, 2, 2), (4, 0, 2)]


def test_a_block_that_must_be_read_whole_is() -> None:
    whole = Whole(function=3, address=64001, count=27)
    of = definition({"serial": (3, 64012, 4), "other": (3, 64040, 2)}, blocks=(whole,))
    assert requests(of) == [(3, 64001, 27), (3, 64040, 2)]
    assert split(plan(of, of.points.poll)[0]) == ()


def test_a_block_nobody_needs_is_not_read() -> None:
    assert requests(definition({"a": (4, 0, 2)}, blocks=(Whole(function=3, address=1, count=9),))) == [(4, 0, 2)]


def test_a_scale_register_is_read_too() -> None:
    point = Point(3, 40073, WireType.I16, scale_register=40076)
    of = Definition("example", "Example", "none", Bus(9600, "N", 1), Points({"current_l1": point}))
    assert requests(of) == [(3, 40073, 4)]


def test_a_refused_block_is_cut_at_its_widest_gap() -> None:
    block = Block(4, 0, 76, ((4, 0, 2), (4, 2, 2), (4, 52, 2), (4, 70, 2), (4, 72, 2)))
    first, second = split(block)
    assert (first.address, first.count) == (0, 4)
    assert (second.address, second.count) == (52, 22)


def test_a_refused_block_without_gaps_is_cut_in_the_middle() -> None:
    first, second = split(Block(4, 0, 8, ((4, 0, 2), (4, 2, 2), (4, 4, 2), (4, 6, 2))))
    assert (first.count, second.address, second.count) == (4, 4, 4)
    assert split(Block(4, 0, 2, ((4, 0, 2),))) == ()


@given(
    st.dictionaries(
        st.sampled_from(["energy_import", "energy_export", "power_total", *"abcdefghijkl"]),
        st.tuples(st.sampled_from([3, 4]), st.integers(0, 300), st.sampled_from([1, 2, 4])),
        min_size=1,
    ),
    st.integers(4, 125),
    st.integers(0, 125),
)
def test_every_value_is_read_whole_whatever_is_planned_or_refused(
    points: dict[str, tuple[int, int, int]], limit: int, gap: int
) -> None:
    of = definition(points, limit=limit, gap=gap)
    blocks = list(plan(of, of.points.poll))
    while blocks:
        wanted = {span for point in of.points.poll.values() for span in point.spans}
        covered = {span for block in blocks for span in block.spans}
        assert all(block.count <= limit for block in blocks)
        for block in blocks:
            assert all(b.address <= a and a + n <= b.address + b.count for b in (block,) for _, a, n in block.spans)
        assert covered <= wanted
        if all(len(block.spans) == 1 for block in blocks):
            assert covered == wanted
            break
        blocks = [piece for block in blocks for piece in split(block) or (block,)]


def test_the_definitions_that_are_shipped_are_found() -> None:
    assert Path(METERS / "eastron_sdm630_v2.toml").is_file()
    assert Path(CONTROLLERS / "evse_din.toml").is_file()


def test_an_identity_that_is_read_alone_has_a_request_of_its_own() -> None:
    em340 = find(METERS, "cg_em340")
    blocks = [(block.address, block.count) for block in plan(em340, (*em340.points.poll, *em340.points.identity))]
    assert (11, 1) in blocks
    assert (0, 24) in blocks


def test_a_siemens_identity_is_read_as_a_whole() -> None:
    pac2200 = find(METERS, "siemens_pac2200")
    (block,) = plan(pac2200, pac2200.points.identity)
    assert (block.address, block.count, block.otherwise, block.whole) == (64001, 27, 19, True)


def test_nothing_is_read_along_where_a_meter_refuses_what_is_not_listed() -> None:
    ksem = find(METERS, "kostal_ksem")
    blocks = plan(ksem, (*ksem.points.poll, *ksem.combined))
    assert all(sum(count for _, _, count in block.spans) == block.count for block in blocks)
    assert (blocks[-1].address, blocks[-1].count) == (512, 8)

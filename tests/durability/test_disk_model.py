"""The disk after a cut: what each model keeps, and what it never does."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.durability.disk import SECTOR, Data, Disk, Names
from tests.durability.tape import (
    Created,
    DirectorySynced,
    Entry,
    PowerCut,
    Removed,
    Renamed,
    Synced,
    Truncated,
    Written,
)

OLD = b"o" * 4 * SECTOR
NEW = b"n" * 4 * SECTOR
SYNCED = (Created("f"), DirectorySynced(""), Written("f", 0, OLD), Synced("f"))


def images(*entries: Entry, data: Data = Data.NONE, names: Names = Names.ORDERED) -> set[tuple[tuple[str, bytes], ...]]:
    """Return every image that chance makes of a tape's end."""
    disk = Disk()
    disk.follow(entries)
    made = [disk.image(data, names, random.Random(seed)) for seed in range(300)]
    return {tuple((n, c) for n, c in sorted(image.items()) if c is not None) for image in made}


def contents(*entries: Entry, data: Data) -> set[bytes]:
    return {dict(image)["f"] for image in images(*entries, data=data)}


def names(*entries: Entry, rule: Names) -> set[tuple[str, ...]]:
    return {tuple(name for name, _ in image) for image in images(*entries, names=rule)}


@pytest.mark.parametrize("data", Data)
@pytest.mark.parametrize("rule", Names)
def test_what_was_synced_is_there(data: Data, rule: Names) -> None:
    assert images(*SYNCED, data=data, names=rule) == {(("f", OLD),)}


def test_none_keeps_nothing_that_was_not_synced() -> None:
    assert contents(*SYNCED, Written("f", 0, NEW), data=Data.NONE) == {OLD}


def test_all_keeps_everything() -> None:
    assert contents(*SYNCED, Written("f", 0, NEW), Truncated("f", 3), data=Data.ALL) == {b"nnn"}


def test_prefix_keeps_the_order_of_writes() -> None:
    writes = (Written("f", 0, b"1"), Written("f", 1, b"2"), Written("f", 2, b"3"))
    rest = OLD[3:]
    whole = {b"ooo" + rest, b"1oo" + rest, b"12o" + rest, b"123" + rest}
    assert contents(*SYNCED, *writes, data=Data.PREFIX) == whole


def test_prefix_keeps_the_order_over_all_files() -> None:
    two = (Created("g"), DirectorySynced(""), Written("f", 0, b"1"), Written("g", 0, b"2"))
    found = {tuple(content[:1] for _, content in image) for image in images(*SYNCED, *two, data=Data.PREFIX)}
    assert found == {(b"o", b""), (b"1", b""), (b"1", b"2")}


def test_torn_cuts_the_last_write_off_anywhere() -> None:
    found = contents(*SYNCED, Written("f", 0, b"1"), Written("f", 1, b"abc"), data=Data.TORN)
    starts = {content[:4] for content in found}
    assert starts == {b"oooo", b"1ooo", b"1aoo", b"1abo"}


def test_sectors_come_in_any_combination_and_whole() -> None:
    found = contents(*SYNCED, Written("f", 0, NEW), data=Data.SECTORS)
    sectors = {tuple(content[n * SECTOR : (n + 1) * SECTOR] for n in range(4)) for content in found}
    assert len(sectors) == 16
    assert {sector for each in sectors for sector in each} == {OLD[:SECTOR], NEW[:SECTOR]}


def test_sectors_are_those_of_the_file_not_of_the_write() -> None:
    found = contents(*SYNCED, Written("f", SECTOR - 1, b"ab"), data=Data.SECTORS)
    assert {content[SECTOR - 1 : SECTOR + 1] for content in found} == {b"oo", b"ao", b"ob", b"ab"}


def test_a_sector_that_came_without_those_before_it_leaves_zeros() -> None:
    found = contents(Created("f"), DirectorySynced(""), Written("f", 0, NEW), data=Data.SECTORS)
    assert bytes(SECTOR) + NEW[:SECTOR] in found


def test_moments_never_show_a_later_write_to_a_sector_without_the_earlier_one() -> None:
    found = contents(
        *SYNCED, Written("f", 0, b"1"), Written("f", 1, b"2"), Written("f", SECTOR, b"3"), data=Data.MOMENTS
    )
    pairs = {(content[:2], content[SECTOR : SECTOR + 1]) for content in found}
    assert pairs == {(first, last) for first in (b"oo", b"1o", b"12") for last in (b"o", b"3")}


def test_moments_show_each_size_that_there_was() -> None:
    sizes = {
        len(content) for content in contents(*SYNCED, Truncated("f", 5), Written("f", 5, b"123"), data=Data.MOMENTS)
    }
    assert sizes == {len(OLD), 5, 8}


def test_names_are_kept_in_order_until_a_sync_of_anything() -> None:
    made = (*SYNCED, Created("g"), Created("h"))
    assert names(*made, rule=Names.ORDERED) == {("f",), ("f", "g"), ("f", "g", "h")}
    assert names(*made, Synced("f"), rule=Names.ORDERED) == {("f", "g", "h")}


def test_strict_names_come_alone_and_wait_for_their_directory() -> None:
    made = (*SYNCED, Created("g"), Created("h"), Synced("f"))
    assert names(*made, rule=Names.STRICT) == {("f",), ("f", "g"), ("f", "h"), ("f", "g", "h")}
    assert names(*made, DirectorySynced(""), rule=Names.STRICT) == {("f", "g", "h")}


@pytest.mark.parametrize("rule", Names)
def test_a_removed_file_may_come_back_whole(rule: Names) -> None:
    assert images(*SYNCED, Removed("f"), names=rule) == {(), (("f", OLD),)}


@pytest.mark.parametrize("rule", Names)
def test_a_rename_has_happened_or_not(rule: Names) -> None:
    new = (Created("g"), Written("g", 0, b"new"), Synced("g"), DirectorySynced(""), Renamed("g", "f"))
    assert images(*SYNCED, *new, names=rule) == {(("f", OLD), ("g", b"new")), (("f", b"new"),)}


def test_what_is_in_a_directory_that_did_not_survive_is_gone() -> None:
    inside = (Created("d", directory=True), Created("d/f"), DirectorySynced("d"), Written("d/f", 0, OLD), Synced("d/f"))
    assert images(*inside, names=Names.STRICT) == {(), (("d/f", OLD),)}
    assert images(*inside, DirectorySynced(""), names=Names.STRICT) == {(("d/f", OLD),)}


@pytest.mark.parametrize("follow", [lambda: Removed("f"), lambda: Written("f", 0, b"x")])
def test_after_a_power_cut_all_that_is_there_is_durable(follow: Callable[[], Entry]) -> None:
    assert images(*SYNCED, follow(), PowerCut({"f": b"left", "d": None, "d/g": b""})) == {
        (("d/g", b""), ("f", b"left"))
    }

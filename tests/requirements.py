"""What the mistakes of other systems ask of this one, by number: owed a test now, or with the stage it belongs to.

A test proves a requirement by the mark ``@pytest.mark.requirement(26)``; where tests are not marked, see ``BY_CASE``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Later:
    """A requirement that is not owed yet; stage: of the roadmap; why: what it needs that is not built."""

    what: str
    stage: str
    why: str


V201: Final = "OCPP 2.0.1"
INSTALLER: Final = "the installer's twenty minutes"
HARDWARE: Final = "the hardware people own"

#: Number -> what is required.
OWED: Final[Mapping[int, str]] = {
    1: "messages about transactions leave in the order in which things happened; others may pass them",
    2: "a message that nobody takes holds up later sessions for a bounded time only",
    3: "BootNotification is tried until it is answered, whatever else waits, and whatever else is dropped",
    4: "a message without an answer and one that could not be sent are two cases, and only the first costs an attempt",
    5: "a session whose start was refused is stopped and told all the same, and the ledger keeps both",
    6: "the link lost or back in mid-session, a start, a stop or all of a session offline: each is told right",
    9: "a message that fails for good does not keep those behind it",
    10: "one success sets the delays of the retries back to the first",
    11: "a connection that the central system closed in order is dialled again",
    12: "a station that was told to end does not dial again",
    13: "delays stop growing at a limit",
    14: "ids that come twice or that nobody knows do no harm, and links that break one after the other lose nothing",
    15: "after the end, of the process as of a session, nothing fires any more, and nothing is brought back",
    16: "stamps made during two hours without the time are right to ten seconds when they are sent",
    17: "a session whose time can only be guessed is reported all the same, and marked",
    18: "what is kept, thinned or refused when queue or disk are full is decided beforehand",
    19: "a reset, a kill and a power cut before, at, during and at the end of a session have a defined result each",
    20: "after a power cut a session goes on with its transaction and its card, without a second start",
    21: "start, values and stop keep their order over retries; other measurands hold from the next sample on",
    22: "an interval of 0 means an own one, a rejected station is silent, and the answer to the boot tells the time",
    23: "BootNotification is repeated after an error as after silence",
    24: "a second system has its own boot, ids and backlog",
    25: "boots that fail one after the other, and links that come and go, leak no timer and register once",
    26: "a card that races a time-out has exactly one outcome",
    27: "a right to charge can be withdrawn while it is asked about, waits for the plug, and is used",
    28: "a second card while one waits for the plug changes nothing for the first",
    30: "upper and lower case of a token, or of a group, never matter",
    32: "a card held after the end starts nothing, and ends nothing a second time",
    33: "the second of two remote starts for one connector is refused",
    34: "a local list with a token that is too long is refused, and the list stays as it was",
    35: "what could not be stored never lets anybody charge",
    36: "versions and doubled tokens of a local list follow their rules",
    37: "a full cache forgets first who may not charge",
    39: "a card that is refused and held again and again does not flood the central system",
    40: "a list that is too long changes nothing at all",
    41: "each switch of the configuration does what it says, on and off",
    42: "a card accepted offline and refused later stops, or uses what it may; what it used stays booked",
    43: "a card of the same group ends a session, without a question where it is known",
    44: "only the card that locked a plug, or one of its group, frees it",
    45: "a reader that two connectors share gives cards to cars in the order of their plugs",
    46: "no reading is an error and never 0, and energy from before a late first reading is accounted for",
    47: "a session found open is closed on the next reading that is known, and marked",
    48: "what the meter tells after the unplug belongs to the session that used it",
    50: "the first minute of a month belongs to that month",
    51: "a connector that is available has no session left",
    52: "a pause of the car, or of the station, does not end a session",
    53: "an older status never undoes a newer one",
    54: "an old measurement is a meter that does not answer, not a value",
    55: "a register that breaks closes the session on the last reading of the unbroken row",
    56: "no stop is below or before its start, in the future, by a stranger, the second, negative, or of connector 0",
    57: "energy is split exactly where the price changes, and at midnight",
    58: "a damaged ledger is noticed and told, and nothing is decided on it",
    59: "a fault names the device that has it",
    60: "a statement reads back as it was written",
    61: "the values of a transaction rise in register and time, end with it, go on over a restart, and are numbers",
    62: "noise and halves of frames on a serial line neither crash nor block nor mean anything",
    63: "a lock that fails lets no power flow, and a stop tells its true reason",
    64: "out of service during a session comes at its end, and over a restart",
    65: "of several faults those that stay are shown, warnings are none, and the end of none changes nothing",
    66: "calls that are wrong in form, type, length or encoding get the right error, and the station goes on",
    67: "a switch of the security profile that fails returns to the old one",
    69: "failures of meter and reader have codes of their own, and a status may have to last before it is told",
    70: "uploads are repeated, and given up cleanly",
    71: "a ledger of every older version is upgraded with all its rows",
    73: "a start that is sent again, answered twice or told twice is one start",
}

#: Number -> what of an owed requirement belongs to a later stage.
IN_PART: Final[Mapping[int, str]] = {
    43: f"{V201}: the master pass, which 1.6 does not have",
}

LATER: Final[Mapping[int, Later]] = {
    7: Later(
        "events made offline say so, and are numbered without a gap",
        V201,
        "TransactionEvent has the flag and the number",
    ),
    8: Later(
        "numbers of events go on over a lost link, and names of transactions fit",
        V201,
        "1.6 has neither; order and drain of the lane are 1 and 9",
    ),
    29: Later("a master pass stops and never starts", V201, "MasterPassGroupId is of 2.0.1"),
    38: Later(
        "using a cached verdict prolongs it, to a limit", V201, "1.6 knows an expiry date alone; no AuthCache lifetime"
    ),
    49: Later(
        "a short unplug is seen by the time of connection that went back",
        HARDWARE,
        "no controller of this release tells for how long a car has been connected",
    ),
    68: Later(
        "a new backend that fails is given up for the old; statuses after a long outage are told anew",
        V201,
        "network profiles and OfflineThreshold are of 2.0.1; 1.6 tells what changed (53)",
    ),
    72: Later(
        "addresses and log-ins of updater and local API are checked",
        INSTALLER,
        "the updater takes what is signed, and the control socket knows file permissions alone; there is no local API",
    ),
}

UNUSED: Final = frozenset({31})
"""Numbers that were never given."""

#: Number -> beginnings of the names of tests that carry no mark: cases of the conformance list, drivers, durability.
BY_CASE: Final[Mapping[int, tuple[str, ...]]] = {
    1: ("test_case_139",),
    6: ("test_case_131", "test_case_132", "test_case_135", "test_case_136"),
    11: ("test_case_005",),
    14: ("test_case_017", "test_case_018"),
    18: ("test_a_disk_that_is_full_costs_no_fact_and_no_restart",),
    19: ("test_a_killed_process_loses_doubles_and_invents_nothing",),
    20: ("test_case_035",),
    22: ("test_case_028", "test_case_030", "test_case_031", "test_case_034"),
    23: ("test_case_026", "test_case_027"),
    30: ("test_case_063",),
    32: ("test_case_062",),
    33: ("test_case_099",),
    36: ("test_case_083",),
    42: ("test_case_051", "test_case_133", "test_case_134"),
    43: ("test_case_043",),
    44: ("test_case_055",),
    45: ("test_case_066",),
    52: ("test_case_052",),
    54: ("test_a_late_answer_is_never_taken_for_the_next_one",),
    56: ("test_impossible_values_are_corrupt",),
    61: ("test_case_153", "test_case_157"),
    62: ("test_noise_before_an_answer_is_skipped", "test_what_is_no_answer_is_dropped_and_told"),
    63: ("test_case_048",),
    64: ("test_case_129",),
    66: ("test_case_011", "test_case_013", "test_case_014", "test_case_015", "test_case_016"),
    67: ("test_case_192",),
    69: ("test_case_069",),
    70: ("test_case_160", "test_case_161", "test_case_197"),
}

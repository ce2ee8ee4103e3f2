# SPDX-License-Identifier: GPL-3.0-or-later
"""The checklist of evasions, E01 to E44: the rows that are played (evasions*.py), and the tests that play the rest."""

import functools
import importlib
import typing

LAST = 44


class Row(typing.NamedTuple):
    number: str
    play: typing.Callable
    #: Makes the scene in which it is played, for a test.
    scene: typing.Callable
    #: The connection is over afterwards.
    ends: bool
    #: What the kernel keeps from the agent, and where.
    hidden: str

    @property
    def name(self):
        return self.play.__name__.replace("_", " ")


ROWS = []


def row(number, ends=False, scene=None, hidden="", **options):
    """Makes a row of a function of its scene."""
    def keep(play):
        import weaving
        ROWS.append(Row(number, play, functools.partial(scene or weaving.Scene, **options), ends, hidden))
        return play
    return keep


# What needs a machine, a policy or a time of its own: rows, and parts of rows.
ELSEWHERE = {
    "E34": ["test_state_attacks.StateAttackTests.test_one_forged_segment_each_in_a_cold_start"],
    "E35": ["test_reasons.ReasonTests.test_small_tables_max_tcp_connections_the_table_is_full"],
    "E36": ["test_loopback.LoopbackTests.test_connections"],
    "E37": ["test_frames.FrameTests.test_each_is_told_of_and_the_nearest_whole_one_is_not"],
    "E43": [
        "test_ftp.ServerTests.test_commands_that_name_what_they_must_not_are_refused",
        "test_ftp.ServerTests.test_nothing_is_read_after_AUTH_TLS",
        "test_ftp.ServerTests.test_active_and_passive_transfers_of_curl_and_lftp"],
}


def load():
    """Reads the rows."""
    for module in ("evasions", "evasions_opening", "evasions_packets"):
        importlib.import_module(module)


def text(places):
    """The checklist as a table: what is played in so many places, and what is played elsewhere."""
    lines = [f"| row | what is woven in, in each of {places} places | what the kernel hides |", "|---|---|---|"]
    for row in sorted(ROWS, key=lambda row: row.number):
        lines.append(f"| {row.number} | {row.name} | {row.hidden} |")
    lines += ["", "Beside these, of a machine or a policy of their own:", ""]
    lines += [f"- {number}: {', '.join(f'`{test}`' for test in tests)}" for number, tests in ELSEWHERE.items()]
    return "\n".join(lines)


def faults():
    """What of the checklist is played by nothing, in sentences."""
    load()
    played = {row.number for row in ROWS} | set(ELSEWHERE)
    wrong = [f"E{n:02} is played by nothing" for n in range(1, LAST + 1) if f"E{n:02}" not in played]
    for number, tests in ELSEWHERE.items():
        for test in tests:
            module, name, method = test.split(".")
            if not hasattr(getattr(importlib.import_module(module), name, None), method):
                wrong.append(f"{number}: there is no test {test}")
    return wrong

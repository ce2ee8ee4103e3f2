# SPDX-License-Identifier: GPL-3.0-or-later
"""reason_table.py: prints the table of all reasons: how each is provoked in these tests, what its event says, and the nearest
packet that raises nothing. What later versions bring is listed as open; anything else that is missing is an error.
"""

import importlib
import os
import sys
import typing

HERE = os.path.dirname(os.path.abspath(__file__))


class Row(typing.NamedTuple):
    id: int
    slug: str
    #: crafted (a packet to a live queue), guard, agent (live, but of no packet), replay, unit.
    by: str
    what: str
    cause: str
    #: Where the event and the nearest quiet packet are tested: module.Class.method.
    test: str


# Raised by no packet of a queue: what is done instead, and the test that does it.
AGENT = [
    ("invalid-adapter-configuration", "an interface of the policy is deleted, comes back, and is deleted again", "none",
     "test_warnings.WarningTests.test_an_interface_that_disappears"),
    ("invalid-adapter-configuration", "an interface that never was", "none",
     "test_warnings.WarningTests.test_an_interface_that_never_was"),
    ("invalid-adapter-configuration", "no rule feeds the queue", "none",
     "test_warnings.WarningTests.test_queues_that_no_rule_feeds_for_a_minute"),
    ("invalid-adapter-configuration", "rules are flushed, and applied again", "none",
     "test_watch.FlushTests.test_flushed_by_iptables_or_nft_and_applied_again"),
    ("invalid-adapter-configuration", "rules feed one queue of two no more", "none",
     "test_watch.FlushTests.test_one_queue_of_two_is_fed_no_more"),
    ("invalid-adapter-configuration", "rules that fit no more: NAT came", "none",
     "test_watch.ChangeTests.test_translation_that_comes_later"),
    ("invalid-adapter-configuration", "the host begins to forward, and nobody judges that", "none",
     "test_watch.ChangeTests.test_forwarding_that_nobody_judges"),
    ("internal-driver-error", "a queue overflows", "none",
     "test_lifecycle.EndTests.test_a_queue_that_overflows_again_and_again_when_open"),
    ("connection-closed", "curl, RSTs of either side, a refused port, silence, a reload, full tables; each end by its name", "none",
     "test_connection_log.EndTests.test_each_end_by_its_name"),
    ("policy-changed", "a reload changes a rule; one that changes nothing says so", "none",
     "test_running.PolicyChangeTests.test_a_reload_says_what_it_changes_and_who_asked_for_it"),
    ("policy-changed", "a policy on trial is not confirmed", "none",
     "test_running.PolicyChangeTests.test_a_policy_that_nobody_confirms"),
    ("syn-cookie-error", "an ACK that this host's RST refuses, to a flooded listener", "none",
     "test_cookies.FloodTests.test_wrong_ack"),
    ("max-syn-sent", "one half-open connection more than all may have", "half-open",
     "test_cookies.FloodTests.test_total"),
    ("fallback-policy", "the policy on the disk does not load", "none",
     "test_fallback.FallbackTests.test_a_policy_that_does_not_load"),
]
# Packets of a live queue that are provoked by a program, or by the order of many.
CRAFTED = [
    ("maximum-ack-retransmit", "a storm of two real stacks, after data forged in the name of both", "ack-storm",
     "test_ack_storm.AckStormTests.test_it_ends_and_the_connection_lives"),
    ("port-scan", "nmap -sS: SYNs to 200 ports that the rules refuse", "none",
     "test_reconnaissance.ScanTests.test_syn"),
    ("port-scan", "nmap -sT: connections to 200 ports", "none", "test_reconnaissance.ScanTests.test_connect"),
    ("port-scan", "nmap -sF", "none", "test_reconnaissance.ScanTests.test_null_fin_xmas"),
    ("port-scan", "nmap -sU", "none", "test_reconnaissance.ScanTests.test_udp"),
    ("port-scan", "nmap -D: a scan among decoys", "none", "test_reconnaissance.ScanTests.test_decoys"),
    ("os-fingerprint", "nmap -O", "none", "test_reconnaissance.ScanTests.test_fingerprint"),
    ("null-scan", "nmap -sN", "none", "test_reconnaissance.ScanTests.test_null_fin_xmas"),
    ("synfin-scan", "a segment with SYN and FIN, among others with the flags of stacks", "none",
     "test_reconnaissance.ScanTests.test_synfin_and_the_nearest_packets"),
    ("xmas-scan", "nmap -sX", "none", "test_reconnaissance.ScanTests.test_null_fin_xmas"),
    ("blocked-source", "what an administrator has blocked: connections and pings", "administrator-block",
     "test_blocks.BlockTests.test_everything_for_its_time_and_over_reloads_and_restarts"),
    ("blocked-source", "a scanner that has shown that he has his address", "scanner-block",
     "test_reconnaissance.ScanTests.test_connect"),
    ("connection-rate", "connections, datagrams and echo requests of one source beyond the rate of their rule", "rule-rate",
     "test_rate.RateTests.test_exactly_so_many"),
    ("out-of-memory", "the exchanges that this host begins take all the memory of the tables", "memory-limit",
     "test_memory.MemoryTests.test_an_opening_beyond_the_memory"),
]
REPLAY = [
    ("unreadable-ethernet-header", "a frame of 13 bytes", "malformed",
     "test_replay.ReplayTests.test_frames_that_the_kernel_never_shows"),
    ("no-ip-header", "a frame that ends with its link header", "malformed",
     "test_replay.ReplayTests.test_frames_that_the_kernel_never_shows"),
]
UNIT = [
    ("internal-states-error", "an entry that contradicts itself: no packet makes one", "inconsistent-entry",
     "FirewallEngineTests: the entry is damaged by hand"),
]


def rows():
    """Every row, in the order of the numbers; and the slugs that are open."""
    import causes
    import test_frames
    import test_reasons
    table = test_reasons.table()
    found = []
    for case in test_reasons.CASES:
        versions = "" if len(case.versions) > 1 else f" (IPv{case.versions[0]})"
        policy = "" if case.policy == "plain" else f", policy \"{case.policy}\""
        found.append(Row(table[case.reason].id, case.reason, "crafted", f"{case.name}{versions}{policy}",
                         causes.of(case) or "-", f"test_reasons.ReasonTests.{test_reasons.method_name(case)}"))
    for frame in test_frames.FRAMES:
        found.append(Row(table[frame.reason].id, frame.reason, "guard", frame.name, frame.cause,
                         "test_frames.FrameTests.test_each_is_told_of_and_the_nearest_whole_one_is_not"))
    for by, group in (("crafted", CRAFTED), ("agent", AGENT), ("replay", REPLAY), ("unit", UNIT)):
        found += [Row(table[slug].id, slug, by, *rest) for slug, *rest in group]
    return sorted(found), [row.slug for row in table.values() if not row.is_available], table


def faults():
    """What is wrong with the table, in sentences; nothing if all is well."""
    found, later, table = rows()
    provoked = {row.slug for row in found}
    wrong = [f"{slug} is provoked by nothing" for slug in table if slug not in provoked and slug not in later]
    wrong += [f"{slug} is provoked, and is said not to be there" for slug in later if slug in provoked]
    wrong += [f"{row.slug} is seen live, and is provoked in a replay" for row in found
              if row.by == "replay" and table[row.slug].seen != "replay"]
    for row in found:
        ways = {"crafted": "queue", "guard": "guard", "agent": "queue", "replay": "replay"}
        if row.by in ways and ways[row.by] not in table[row.slug].seen:
            wrong.append(f"{row.slug} is provoked as {row.by}, and the table of reasons says it is seen as {table[row.slug].seen}")
        if row.by != "unit" and not _exists(row.test):
            wrong.append(f"{row.slug}: there is no test {row.test}")
    for slug in {row.slug for row in found}:
        for way in {"queue": ("crafted", "agent", "unit"), "guard": ("guard",), "replay": ("replay",)}.items():
            if way[0] in table[slug].seen and not any(row.by in way[1] for row in found if row.slug == slug):
                wrong.append(f"{slug} is said to be seen by the {way[0]}, and nothing shows it")
    return wrong


def _exists(test):
    module, name, method = test.split(".")
    return hasattr(getattr(importlib.import_module(module), name, None), method)


def text():
    found, later, table = rows()
    lines = ["All reasons, each with what provokes it, what decides, and the test in which the nearest other packet is quiet:", ""]
    for row in found:
        lines.append(f"{row.id:>4} {row.slug:<36} {row.by:<8} {row.cause:<30} {row.what}")
    lines += ["", "Open, for later versions: " + ", ".join(f"{table[slug].id} {slug}" for slug in later)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.path[:0] = [HERE, os.path.dirname(HERE)]
    import isolation

    with isolation.left_out():
        wrong = faults()
        print(text())
    sys.exit("\n".join(wrong) if wrong else 0)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the checklist of evasions: what is woven into a living connection of two real stacks so that an observer between them takes it
for something else than they do. Each row sends packets as the client's, one after the other, and says what becomes of each."""

from checklist import row

# Numbers that are outside every window.
LONG_AGO, FAR = -(1 << 28), 1 << 24
MD5, AO = [(19, bytes(16))], [(29, bytes([1, 1]) + bytes(12))]


@row("E03")
def a_new_syn_on_a_living_connection(s):
    s.passes("S", by=1 << 20)
    s.passes("S", by=5)


@row("E05")
def data_again_whose_acknowledgement_was_lost(s):
    for _ in range(46):
        s.exchange(b"0123456789")
    s.passes("PA", by=-460, data=b"0123456789")


@row("E06")
def resets_that_are_not_exact(s):
    s.drops("R", "invalid-sequence", by=LONG_AGO)
    s.drops("R", "invalid-sequence", by=FAR)
    s.passes("R", by=1_000)


@row("E06", ends=True)
def the_exact_reset(s):
    s.passes("R")


@row("E08")
def a_syn_ack_on_a_living_connection(s):
    s.drops("SA", "invalid-sequence", by=1 << 30)


@row("E09")
def acknowledgements_of_what_was_never_sent(s):
    s.drops("PA", "invalid-ack", acknowledging=1_000, data=b"evil")
    s.drops("PA", "invalid-ack", acknowledging=LONG_AGO, data=b"evil")


@row("E10")
def guesses_over_the_sequence_space(s):
    for step in (3, 7, 8, 12):
        s.drops("R", "invalid-sequence", by=step << 28)


@row("E14")
def wrong_checksums(s):
    for flags, data in (("S", b""), ("FA", b""), ("R", b""), ("RA", b""), ("PA", b"evil")):
        s.ignored(flags, "invalid-checksum", data=data, chksum=0x1234)


@row("E15")
def options_that_the_syn_had_not(s):
    for options in (MD5, AO):
        for flags, data in (("R", b""), ("FA", b""), ("PA", b"evil")):
            s.drops(flags, "invalid-flags", data=data, options=options)


@row("E16")
def no_ack_in_mid_connection(s):
    for flags in ("P", "F", ""):
        s.drops(flags, "invalid-flags", data=b"evil")


@row("E17")
def time_stamps_from_the_past(s):
    for flags, data in (("PA", b"evil"), ("FA", b"")):
        s.drops(flags, "invalid-sequence", data=data, options=s.stamp(-100_000_000))
    s.drops("PA", "invalid-sequence", data=b"evil", options=s.stamp(None))


@row("E17", ends=True)
def an_exact_reset_with_a_time_stamp_from_the_past(s):
    """Stacks do not hold a reset to its time stamp."""
    s.passes("R", options=s.stamp(-100_000_000))


@row("E18")
def urgent_data(s):
    s.drops("PAU", "invalid-flags", data=b"evil", urgptr=2)
    s.drops("PAU", "invalid-flags", data=b"evil", urgptr=60_000)


@row("E19")
def header_lengths_and_options_that_are_wrong(s):
    s.drops("PA", "invalid-tcp-header-length", dataofs=4)
    s.drops("PA", "invalid-data-offset", dataofs=15)
    s.passes("A", by=-1, options=[(3, b"\xff")])


@row("E20")
def a_syn_with_data(s):
    s.drops("S", "invalid-flags", by=1 << 20, data=b"evil")


@row("E22")
def flags_that_a_search_found(s):
    for flags in ("FRAPUEN", "FRECN", "SF", "SR", "RF", "FSRPAU"):
        s.drops(flags, "invalid-flags")


@row("E23")
def bytes_behind_the_end_of_the_datagram(s):
    s.passes("A", by=-1, trailer=b"evil")


@row("E25")
def other_bytes_in_an_old_place(s):
    s.exchange(b"a" * 200)
    s.exchange(b"b" * 200)
    s.passes("PA", by=-400, data=b"a" * 200 + b"b" * 200)
    s.drops("PA", "dropped-retransmit", by=-350, data=b"a" * 50 + b"x" * 10)
    s.drops("PA", "dropped-retransmit", by=-200, data=b"b" * 100 + b"x" * 150)


@row("E26")
def one_byte_at_a_time_backwards(s):
    s.exchange(b"0123456789")
    for at in range(1, 11):
        s.passes("PA", by=-at, data=b"%d" % (10 - at))


@row("E27")
def a_byte_far_ahead(s):
    s.drops("PA", "invalid-sequence", by=FAR, data=b"x")


@row("E27")
def a_byte_ahead_in_the_window(s):
    """It moves nothing: what is genuine goes on before it."""
    s.passes("PA", by=1_000, data=b"x")


@row("E28")
def a_fin_out_of_place(s):
    s.passes("FA", by=1_000)
    s.drops("FA", "invalid-sequence", by=FAR)
    s.drops("FA", "invalid-sequence", by=LONG_AGO)


@row("E29")
def windows_that_close_and_open(s):
    s.passes("A", window=0)
    s.passes("A", window=500)
    s.passes("A", by=-1)


@row("E30")
def a_keep_alive_with_a_byte(s):
    s.passes("A", by=-1, data=b"?")


@row("E31")
def selective_acknowledgements(s):
    s.passes("A", by=-1, options=s.sack(-20, -10))
    s.drops("A", "invalid-ack", by=-1, options=s.sack(5_000, 6_000))


@row("E32")
def congestion_flags(s):
    for flags in ("AE", "AC", "AEC", "AN"):
        s.passes(flags, by=-1)


@row("E33", ends=True)
def data_after_the_reset(s):
    s.passes("R")
    s.drops("PA", "packet-on-closed-connection", data=b"evil")

# SPDX-License-Identifier: GPL-3.0-or-later
"""pulse.py ADDRESS PORT: a numbered datagram to an echo server every 10 ms until its input ends.

Prints `ready` after the first answer, and at the end one JSON object: how many were sent, how many answers came, and the
longest time in milliseconds between two answers.
"""

import json
import select
import socket
import sys
import time

SO_RCVBUFFORCE = 33
pulse = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
# All that waited during a pause comes at once.
pulse.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
pulse.connect((sys.argv[1], int(sys.argv[2])))
answered, sent, longest, last, ended = set(), 0, 0.0, None, None
next_time = time.monotonic()
# Answers that come late count: ten seconds are waited for them.
while ended is None or (len(answered) < sent and time.monotonic() < ended + 10):
    ready = select.select([pulse] + [sys.stdin] * (ended is None), [], [], max(0, next_time - time.monotonic()))[0]
    now = time.monotonic()
    if pulse in ready:
        answered.add(int(pulse.recv(100)))
        if last is None:
            print("ready", flush=True)
        else:
            longest = max(longest, now - last)
        last = now
    if sys.stdin in ready:
        ended = now
    if ended is None and now >= next_time:
        sent += 1
        pulse.send(b"%d" % sent)
        next_time = max(next_time + 0.01, now - 0.1)
    elif ended is not None:
        next_time = now + 0.1
print(json.dumps({"sent": sent, "answered": len(answered), "longest": round(longest * 1000)}))

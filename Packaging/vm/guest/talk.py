# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends a line over ssh every 50 ms and wants it back; prints the milliseconds it took. Ends with its input."""

import select
import subprocess
import sys
import time

from wire import FAR, SSH

ssh = subprocess.Popen(SSH[len(FAR):] + ("cat",), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
number = 0
while not select.select([sys.stdin], [], [], 0.05)[0]:
    number += 1
    line = b"%d\n" % number
    begin = time.monotonic()
    ssh.stdin.write(line)
    ssh.stdin.flush()
    if ssh.stdout.readline() != line:
        sys.exit("the ssh session has ended")
    print(f"{(time.monotonic() - begin) * 1000:.1f}", flush=True)
ssh.stdin.close()
sys.exit(ssh.wait(30))

# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic that runs while a test does something to the agent."""

import json
import signal

from lab import wait_until

# Opens one connection after the other, sends a line, wants it back. Ends at SIGTERM with what became of them.
CONNECTIONS = """
import collections, json, signal, socket, sys, time
address, port, patience = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
ended, outcomes, slowest = [], collections.Counter(), 0
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
print('running', flush=True)
while not ended:
    begin = time.monotonic()
    try:
        with socket.create_connection((address, port), patience) as s:
            s.sendall(b'hello\\n')
            outcomes['complete' if s.recv(100) == b'hello\\n' else 'short'] += 1
        slowest = max(slowest, time.monotonic() - begin)
    except OSError as error:
        outcomes[type(error).__name__] += 1
    if outcomes['complete'] == 1:
        print('one', flush=True)
print(json.dumps({'outcomes': outcomes, 'slowest': slowest}), flush=True)
"""

# One connection over which a numbered line goes every 20 ms and comes back; prints the number of each that came back,
# and the longest time in milliseconds that one took so far.
CONVERSATION = """
import signal, socket, sys, time
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
s.settimeout(60)
stream, number, longest = s.makefile('rb'), 0, 0
while not ended:
    number += 1
    begin = time.monotonic()
    s.sendall(b'%d\\n' % number)
    assert stream.readline() == b'%d\\n' % number
    longest = max(longest, time.monotonic() - begin)
    print(number, round(longest * 1000), flush=True)
    time.sleep(0.02)
s.close()
print('closed', flush=True)
"""


class Connections:
    """A stream of new connections to an echo server, until `stop`."""

    def __init__(self, namespace, address, port=7, patience=3.0):
        self.process = namespace.start("/usr/bin/python3", "-c", CONNECTIONS, address, port, patience, name="connections")
        wait_until(lambda: "running" in self.process.output(), "the stream of connections runs", process=self.process)

    def wait_for_one(self):
        """Waits until a connection was complete."""
        wait_until(lambda: "one" in self.process.output(), "a connection is complete", process=self.process)

    def stop(self):
        """Returns how many ended how: `complete`, `short`, or the name of an error."""
        self.process.signal(signal.SIGTERM)
        self.process.wait()
        return json.loads(self.process.output().splitlines()[-1])["outcomes"]


class Conversation:
    """A connection that lives until `stop`."""

    def __init__(self, namespace, address, port=7):
        self.process = namespace.start("/usr/bin/python3", "-c", CONVERSATION, address, port, name="conversation")
        self.wait_for_progress()

    @property
    def progress(self):
        """How many lines came back."""
        return len(self.process.output().splitlines())

    @property
    def longest_pause(self):
        """In milliseconds."""
        return max(int(line.split()[1]) for line in self.process.output().splitlines() if " " in line)

    def wait_for_progress(self, lines=3, seconds=30):
        """Waits until so many more lines came back."""
        goal = self.progress + lines
        wait_until(lambda: self.progress >= goal, f"{lines} more lines come back", seconds, self.process)

    def stop(self):
        """Closes it; returns whether it ended in order."""
        self.process.signal(signal.SIGTERM)
        return self.process.wait() == 0 and self.process.output().endswith("closed\n")


class Downloads:
    """Several curl at once, each at a bounded rate, so that they last a while."""

    def __init__(self, namespace, url, count=3, rate="8M"):
        self.namespace = namespace
        self.targets = [namespace.lab.file(f"download-{number}") for number in range(count)]
        self.processes = [
            namespace.start("curl", "-sSf", "-m", 60, "--limit-rate", rate, "-o", target, url, name="curl")
            for target in self.targets]

    @property
    def are_running(self):
        return any(process.is_running for process in self.processes)

    def finish(self):
        """Waits for all; returns what each got, None for one that failed."""
        results = []
        for process, target in zip(self.processes, self.targets):
            status = process.wait(70)
            with open(target, "rb") as file:
                results.append(file.read() if status == 0 else None)
        return results


# Opens connections to an echo server and leaves them alone; uses each of them once at each SIGUSR1, and says how many answer.
IDLE = """
import signal, socket, struct, sys
address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
open_ones = [socket.create_connection((address, port), 10) for _ in range(count)]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
def use(s):
    try:
        s.settimeout(10)
        s.sendall(b'still there?\\n')
        return s.recv(100) == b'still there?\\n'
    except OSError:
        return False
for s in open_ones:
    # Closed by a reset: nothing of it is sent again later.
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    assert use(s)
print('open', flush=True)
while True:
    signal.sigwait([signal.SIGUSR1])
    print(sum(use(s) for s in open_ones), 'answered', flush=True)
"""


class IdleConnections:
    """Connections that say nothing unless asked."""

    def __init__(self, namespace, address, port=7, count=100):
        self.count = count
        self.process = namespace.start("/usr/bin/python3", "-c", IDLE, address, port, count, name="idle")
        wait_until(lambda: "open" in self.process.output(), f"{count} connections are open", 30, self.process)
        self._asked = 0

    def answering(self):
        """Uses each of them; returns how many answer."""
        self._asked += 1
        self.process.signal(signal.SIGUSR1)
        wait_until(lambda: self.process.output().count("answered") == self._asked, "all were asked", 120, self.process)
        return int(self.process.output().splitlines()[-1].split()[0])

    def stop(self):
        self.process.kill()

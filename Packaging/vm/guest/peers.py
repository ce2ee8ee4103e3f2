# SPDX-License-Identifier: GPL-3.0-or-later
"""Traffic between the other machine and this one that goes on while a step does something to the agent."""

import contextlib
import json
import signal
import subprocess
import time

from step import check, contains, equal, run, wait_until
from system import Since, kernel_losses, policy, protect
from wire import FAR, NEAR4, Peer, far

ECHO_PORT, BULK_PORT = 7007, 5201
IDLE = 100
BULK_RATE = "20M"

# The policy of the steps that need more than ssh.
POLICY = f"""
version: 1
rules:
  - {{ name: SSH, action: allow, direction: incoming, protocol: tcp, destination: {{ ports: 22 }} }}
  - {{ name: Ping, action: force-allow, direction: incoming, protocol: icmp, icmp: {{ type: echo-request }} }}
  - {{ name: Services, action: allow, direction: incoming, protocol: tcp, destination: {{ ports: [{ECHO_PORT}, {BULK_PORT}] }} }}
  - {{ name: Pulse, action: force-allow, direction: incoming, protocol: udp, destination: {{ ports: {ECHO_PORT} }} }}
"""


class Conversation:
    """One ssh session over which a line goes and comes back every 50 ms."""

    def __init__(self):
        self.peer = Peer("talk.py")
        self.wait_for_progress()

    @property
    def lines(self):
        return self.peer.output().count("\n")

    def wait_for_progress(self, more=3, seconds=40):
        goal = self.lines + more
        wait_until(lambda: self.lines >= goal or not self.peer.is_running, f"{more} more lines come back", seconds)
        check(self.peer.is_running, f"the conversation has ended: {self.peer.output()[-500:]}")

    def end(self):
        """Returns how many lines came back, and the longest wait for one in milliseconds."""
        output = self.peer.end().splitlines()
        waits = [float(line) for line in output]
        return {"lines": len(waits), "longest": max(waits)}


@contextlib.contextmanager
def bulk_server():
    """iperf3, listening."""
    server = subprocess.Popen(["iperf3", "-s", "-p", str(BULK_PORT)], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: f":{BULK_PORT} " in run("ss", "-Hnlt"), "iperf3 listens")
        yield
    finally:
        server.kill()
        server.wait()


@contextlib.contextmanager
def load(settings=""):
    """A Load under the policy above with `settings`, with the rules in place."""
    protect()
    policy(POLICY + settings)
    with contextlib.ExitStack() as stack:
        yield Load(stack)


def overflows():
    """Datagrams that the receivers' own buffers had no room for, on both machines."""
    total = 0
    for text in (run("cat", "/proc/net/snmp"), far("cat", "/proc/net/snmp")):
        names, values = (line.split() for line in text.splitlines() if line.startswith("Udp:"))
        total += int(values[names.index("RcvbufErrors")])
    return total


class Load:
    """iperf3, 100 idle connections and numbered datagrams, all at once; without a packet lost or an event at its end."""

    def __init__(self, stack):
        self.stack = stack
        self.echo = self.start("echo.py", ECHO_PORT, within=None)
        self.idle = self.start("idle.py", NEAR4, ECHO_PORT, IDLE)
        self.pulse = self.start("pulse.py", NEAR4, ECHO_PORT)
        self.stack.enter_context(bulk_server())
        self.events, self.losses, self.overflows = Since(), kernel_losses(), overflows()
        self.bulk = subprocess.Popen(
            [*FAR, "iperf3", "-J", "-c", NEAR4, "-p", str(BULK_PORT), "-t", "600", "-b", BULK_RATE], stdout=subprocess.PIPE,
            text=True)
        self.stack.callback(self.bulk.kill)

    def start(self, program, *arguments, **options):
        peer = Peer(program, *arguments, **options)
        self.stack.callback(peer.kill)
        wait_until(lambda: "ready" in peer.output() or not peer.is_running, f"{program} is ready", 60)
        check(peer.is_running, f"{program}: {peer.output()}")
        return peer

    def finish(self, crashed=False):
        """Ends it; returns the numbers as a sentence. A connection or packet that was lost is a failure, but for packets
        that a crashed agent had in its hands and the next one settled and told of."""
        # It has to get through after what happened, too.
        time.sleep(3)
        self.bulk.send_signal(signal.SIGINT)
        bulk = json.loads(self.bulk.communicate(timeout=60)[0])
        contains(bulk.get("error", ""), "interrupt", "what iperf3 says")
        check(any(one["sum"]["bytes"] for one in bulk["intervals"][-2:]), "iperf3 stands still")
        idle = self.idle.end().splitlines()[-1]
        equal(idle, f"alive {IDLE}", "the idle connections")
        pulse = json.loads(self.pulse.end().splitlines()[-1])
        equal(kernel_losses() - self.losses, 0, "packets that the kernel dropped at the queues")
        reasons = self.events.reasons()
        settled = reasons.pop("internal-driver-error", 0) if crashed else 0
        equal(reasons, {}, "events")
        sent, received = pulse["sent"], pulse["answered"]
        check(sent - received <= settled, f"of {sent} datagrams {sent - received} were dropped, {settled} packets by the agent, "
              f"{overflows() - self.overflows} by the receivers' own buffers")
        total = bulk["end"]["sum_sent"]
        return (f"{sent} packets sent, {received} received, {sent - received} dropped, longest pause {pulse['longest']} ms; "
                f"iperf3 {total['bytes'] >> 20} MiB, {total['retransmits']} retransmitted; {IDLE} idle connections alive")

# SPDX-License-Identifier: GPL-3.0-or-later
"""The firewall in the lab: portreeved with a policy, rules that feed it, and the events that it writes."""

import collections
import contextlib
import json
import os
import shlex
import signal

import records
from lab import wait_until


def binaries():
    """The directory of portreeved and portreeve: $PORTREEVE_BIN, or the release build of this working copy."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return os.environ.get("PORTREEVE_BIN") or os.path.join(root, ".build", "release")


def hand_written_rules(queues=(0, 0), incoming="PREROUTING", forward=False, bypass=False):
    """What a person would write, as {family: text for iptables-restore}: every packet of this machine is judged once."""
    first, last = queues
    target = f"--queue-num {first}" if first == last else f"--queue-balance {first}:{last}"
    target = f"-j NFQUEUE {target}{' --queue-bypass' if bypass else ''}"
    # A test for several types holds in ip6tables only for an address of all of them.
    types = {4: ["LOCAL,BROADCAST,ANYCAST,MULTICAST"], 6: ["LOCAL,ANYCAST", "MULTICAST"]}
    texts = {}
    for family in (4, 6):
        tests = [f"-m addrtype --dst-type {type} " for type in types[family]] if incoming == "PREROUTING" else [""]
        lines = [f"-A {incoming} ! -i lo {test}{target}" for test in tests] + [f"-A OUTPUT ! -o lo {target}"]
        if forward:
            lines.append(f"-A FORWARD {target}")
        texts[family] = "\n".join(["*mangle", *lines, "COMMIT", ""])
    return texts


# Tests send what no honest computer does: what is told of that is no matter of theirs, unless they say so.
QUIET = (
    "reconnaissance: { detect: { port-scan: false, os-fingerprint: false, null-scan: false, synfin-scan: false, "
    "xmas-scan: false } }\n")


class Agent:
    """portreeved in a namespace of the lab.

    `policy` is the text of the policy file. Where the events go, and that they are not folded, is added as a drop-in;
    `fold`, `file_settings` (more keys of events.file) and `extra` (more text of a policy file) change that. Unless one of them speaks of reconnaissance,
    scans are nobody's concern. Tests of folding pass fold="1s". `environment` is added to
    the one of the process.
    """

    def __init__(self, namespace, policy, queues=(0, 0), fold="0", extra="", name="agent", events_file=None,
                 environment=None, file_settings=""):
        self.namespace, self.lab, self.queues, self.name = namespace, namespace.lab, queues, name
        self.directory = self.lab.file(name)
        os.makedirs(os.path.join(self.directory, "policy.d"))
        self.policy = os.path.join(self.directory, "policy.yaml")
        self.events_file = events_file or os.path.join(self.directory, "events.jsonl")
        self.control = os.path.join(self.directory, "control.sock")
        self.write_policy(policy)
        # Lists and dictionaries in it merge with those of the policy file.
        drop_in = f"version: 1\nevents: {{ file: {{ path: {self.events_file}, {file_settings} }}, fold: {fold} }}\n{extra}\n"
        if "reconnaissance" not in policy + extra:
            drop_in += QUIET
        self.lab.file(os.path.join(self.directory, "policy.d", "lab.yaml"), drop_in)
        self.environment = [f"{key}={value}" for key, value in (environment or {}).items()]
        self.process = None
        self._read = 0
        self.changes = []

    def write_policy(self, text):
        self.lab.file(self.policy, text)

    @property
    def queue_argument(self):
        first, last = self.queues
        return str(first) if first == last else f"{first}-{last}"

    # Life

    def start(self, seconds=30):
        """Starts it and waits until all its queues are bound."""
        self.process = self.namespace.start(
            "env", *self.environment, os.path.join(binaries(), "portreeved"), "--policy", self.policy, "--control",
            self.control, "--queue", self.queue_argument, name=self.name)
        wait_until(lambda: "ready: " in self.log(), f"queues {self.queue_argument} are bound", seconds, self.process)
        return self

    def stop(self):
        """SIGTERM; returns the exit status."""
        return self.process.stop()

    def kill(self):
        """SIGKILL, as a crash would."""
        return self.process.kill()

    @contextlib.contextmanager
    def halted(self):
        """It stands still in this block, all its threads."""
        self.process.signal(signal.SIGSTOP)
        try:
            wait_until(lambda: thread_states(self.process.pid) == {"T"}, "all threads stand still")
            yield
        finally:
            self.process.signal(signal.SIGCONT)

    def reload(self, policy=None):
        """SIGHUP, with a new policy file if given. Returns at once; `portreeve reload` would say what came of it."""
        if policy is not None:
            self.write_policy(policy)
        self.process.signal(signal.SIGHUP)

    def await_epoch(self, epoch, seconds=30):
        """Waits until the policy of that epoch is in force."""
        wait_until(lambda: f"epoch {epoch}," in self.log(), f"epoch {epoch} is in force", seconds, self.process)

    def log(self):
        """What it printed."""
        return self.process.output()

    def resident_bytes(self):
        return self._memory("VmRSS")

    def peak_bytes(self):
        """The most that was ever resident."""
        return self._memory("VmHWM")

    def _memory(self, field):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # Tool and rules

    def tool(self, *words, check=True, seconds=30):
        """Runs `portreeve`, which finds this agent and its policy; returns what it printed."""
        return self.tool_status(*words, seconds=seconds, fail=check)[1]

    def command(self, *words):
        """The tool's command line, for a shell."""
        return shlex.join(self._words(*words))

    def tool_status(self, *words, seconds=30, fail=False):
        """The same; returns (exit status, output)."""
        return self.namespace.status(*self._words(*words), seconds=seconds, fail=fail)

    def _words(self, *words):
        control, policy = ["--control", self.control], ["--policy", self.policy]
        rules = control + policy + ["--state", f"{self.directory}/rules", "--saved", self.directory]
        options = {"status": control, "connections": control, "reload": control, "reopen": control,
                   "block": control, "unblock": control, "blocks": control, "rules": control,
                   "check": [self.policy], "events": control + policy, "report": control + policy, "top": control + policy,
                   "iptables": rules, "enable": rules, "disable": rules}
        return [os.path.join(binaries(), "portreeve"), *map(str, words), *options.get(words[0], [])]

    def report(self):
        """What `portreeve status --json` says."""
        return json.loads(self.tool("status", "--json", "--agent-only"))

    def settled_report(self, seconds=30):
        """The same, once no packet waits to be judged and no event is on its way any more."""
        report = {}

        def is_settled():
            if any(row["waiting"] for row in self.namespace.queues().values()):
                return False
            report.update(self.report())
            return not any(row["pending"] for row in report["reasons"])

        wait_until(is_settled, "no event is pending", seconds, self.process)
        return report

    def feed(self, incoming="PREROUTING", forward=False, bypass=False):
        """Feeds the queues by hand-written rules."""
        for family, text in hand_written_rules(self.queues, incoming, forward, bypass).items():
            self.namespace.rules(text, [family])
        return self

    def feed_as_printed(self, *options):
        """Feeds the queues by what `portreeve iptables --print` prints: a shell script."""
        words = [os.path.join(binaries(), "portreeve"), "iptables", "--print", "--policy", self.policy, *options]
        self.namespace.run("sh", "-c", f"{shlex.join(words)} > {self.directory}/rules.sh && sh -e {self.directory}/rules.sh")
        return self

    # Events

    def events(self):
        """All events written since the last call, oldest first. A line still being written stays for the next call. What reloads have
        changed, which is told a moment after them, is in `changes`."""
        if not os.path.exists(self.events_file):
            return []
        with open(self.events_file, "rb") as file:
            file.seek(self._read)
            lines, _, _ = file.read().rpartition(b"\n")
        self._read += len(lines) + 1 if lines else 0
        found = records.parsed(lines.splitlines())
        self.changes += [event for event in found if event["portreeve"]["reason"] == "policy-changed"]
        return [event for event in found if event["portreeve"]["reason"] != "policy-changed"]

    def wait_for_events(self, count=1, seconds=30):
        """Waits until `count` events came since the last call, folded ones counted as often as they happened; returns
        what came, fewer after the time."""
        found = []

        def enough():
            found.extend(self.events())
            return sum(event["portreeve"].get("count", 1) for event in found) >= count

        try:
            wait_until(enough, f"{count} events", seconds)
        except TimeoutError:
            pass
        return found


def thread_states(process):
    """The letters of proc(5)."""
    states = set()
    for thread in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{thread}/stat") as stat:
            states.add(stat.read().rpartition(")")[2].split()[0])
    return states


def thread_named(process, name):
    for thread in os.listdir(f"/proc/{process}/task"):
        with open(f"/proc/{process}/task/{thread}/comm") as comm:
            if comm.read().strip() == name:
                return int(thread)
    raise LookupError(name)


def reasons(events):
    """Counter of the events' reasons by slug, folded ones counted as often as they happened."""
    counts = collections.Counter()
    for event in events:
        counts[event["portreeve"]["reason"]] += event["portreeve"].get("count", 1)
    return counts

# SPDX-License-Identifier: GPL-3.0-or-later
"""A reflector among strangers: whatever does not authenticate gets not one byte, and costs nothing that stays. And a scan whose reflector
has the key and lies."""

import os
import resource
import unittest

import isolation

isolation.isolate()

from lab import Lab, wait_until
from paths import Reflector, scan

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 9000

# What a stranger sends is made of what he could have seen: a request that was answered, and pieces of it.
DATAGRAMS = """
import os, random, socket, sys, time
sys.path.insert(0, sys.argv[1])
from probe import Lease
address, key, count = sys.argv[2], sys.argv[3], int(sys.argv[4])
lease = Lease(address, key, {"udp": "9000-9003"})
link = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
link.settimeout(2)
link.connect((address, 9000))
seen = lease.request(9000, 0)
link.send(seen)
assert link.recv(1000) == lease.reply(9000, 0), "a proven request was not answered"
link.setblocking(False)
chance = random.Random(17)
def changed(bytes_, number):
    copy = bytearray(bytes_)
    for _ in range(number):
        copy[chance.randrange(len(copy))] ^= 1 << chance.randrange(8)
    return bytes(copy)
fresh = lease.request(9001, 1)
kinds = [lambda: seen, lambda: chance.randbytes(chance.randrange(0, 1400)), lambda: seen[:chance.randrange(48)],
         lambda: changed(fresh, 1), lambda: changed(seen, 3), lambda: lease.reply(9001, 1), lambda: seen + b"!",
         lambda: lease.request(9001, 1 << 40), lambda: fresh[:28] + b"\\0\\0\\0\\x0f" + fresh[32:]]
answers = sent = 0
began = time.monotonic()
while sent < count:
    for _ in range(50):
        try:
            link.send(kinds[sent % len(kinds)]())
        except (BlockingIOError, ConnectionRefusedError):
            pass
        sent += 1
    try:
        while True:
            answers += len(link.recv(2000))
    except (BlockingIOError, ConnectionRefusedError):
        pass
    ahead = sent / 70_000 - (time.monotonic() - began)
    if ahead > 0:
        time.sleep(ahead)
time.sleep(0.3)
try:
    while True:
        answers += len(link.recv(2000))
except BlockingIOError:
    pass
link.setblocking(True)
link.settimeout(2)
link.send(lease.request(9000, 0, attempt=1))
assert link.recv(1000) == lease.reply(9000, 0, attempt=1), "an honest request is not answered any more"
counters = lease.counters()
print(f"{sent} sent, {counters['unauthenticated']} counted, {answers} bytes back")
"""

SESSIONS = """
import os, random, socket, struct, sys, threading
sys.path.insert(0, sys.argv[1])
from probe import Lease
address, key, count = sys.argv[2], sys.argv[3], int(sys.argv[4])
lease = Lease(address, key, {"tcp": "9000-9003"})
family = socket.AF_INET6 if ":" in address else socket.AF_INET
def connect(port):
    link = socket.socket(family)
    link.settimeout(10)
    link.connect((address, port))
    return link
def reset(link):
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()
with connect(9000) as honest:
    honest.sendall(lease.request(9000, 0))
    assert honest.recv(1000) == lease.reply(9000, 0), "a proven request was not answered"
    assert honest.recv(1000) == b"", "the reflector closes first"
chance = random.Random(18)
seen, fresh = lease.request(9000, 0), lease.request(9001, 1)
pieces = [lambda: b"", lambda: seen[:chance.randrange(1, 48)], lambda: chance.randbytes(48), lambda: seen, lambda: fresh[:47] + b"?",
          lambda: b"GET / HTTP/1.1\\r\\n\\r\\n", lambda: chance.randbytes(5000), lambda: lease.reply(9001, 1),
          lambda: b"{\\"ask\\":\\"hello\\"}\\n", lambda: b"\\n" * 100, lambda: b"x" * 70_000]
back = []
held = []
def stranger(number):
    piece = pieces[number % len(pieces)]()
    port = 7411 if number % 7 == 0 else 9000 + number % 4
    try:
        link = connect(port)
        if piece:
            link.sendall(piece)
        if number % 3 == 0:
            reset(link)
        elif number % 50 == 1 and port != 7411:
            held.append(link)
        else:
            link.shutdown(socket.SHUT_WR)
            while part := link.recv(65536):
                # The control channel may say why it ends, to who speaks its language.
                if port != 7411 or not part.startswith(b'{"answer":"refused"'):
                    back.append(part)
            link.close()
    except OSError:
        pass
def some(begin):
    for number in range(begin, count, 8):
        stranger(number)
threads = [threading.Thread(target=some, args=(begin,)) for begin in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
with connect(9000) as honest:
    honest.sendall(lease.request(9000, 0, attempt=1))
    assert honest.recv(1000) == lease.reply(9000, 0, attempt=1), "an honest request is not answered any more"
print(f"{count} sessions, {sum(map(len, back))} bytes back")
"""

# Connections to a port of a scan with --idle that say nothing, more than one scan may have.
SILENT = """
import resource, select, socket, sys, time
sys.path.insert(0, sys.argv[1])
from probe import Lease
address, key, count = sys.argv[2], sys.argv[3], int(sys.argv[4])
resource.setrlimit(resource.RLIMIT_NOFILE, (2 * count, 2 * count))
lease = Lease(address, key, {})
answer = lease.ask({"ask": "open", "protocol": "tcp", "family": 6 if ":" in address else 4, "ports": "9000-9001", "first": 0,
                    "script": None, "sources": [], "rest": 3_000_000})
assert not answer["refused"], answer
lease.ask({"ask": "go"})
held = [socket.create_connection((address, 9000), 10) for _ in range(count)]
poll = select.poll()
for each in held:
    poll.register(each, select.POLLIN)
limit = time.monotonic() + 20
while len(poll.poll(0)) < count - 4096 and time.monotonic() < limit:
    time.sleep(0.05)
print(f"{len(poll.poll(0))} of {count} closed at once, {lease.counters()['refused_by_limits']} counted")
"""

# A reflector with the key; what it says to which question is its affair.
LIAR = """
import hashlib, hmac, json, os, socket, struct, sys
sys.path.insert(0, sys.argv[1])
from probe import mac
with open(sys.argv[2]) as file:
    secret = bytes.fromhex(file.read())
kind = sys.argv[3]
server = socket.create_server(("", 7412))
print("ready", flush=True)
link = server.accept()[0]
lines = link.makefile("rb")
theirs, ours = bytes.fromhex(json.loads(lines.readline())["nonce"]), os.urandom(32)
link.sendall(json.dumps({"answer": "challenge", "nonce": ours.hex()}).encode() + b"\\n")
lines.readline()
proof = mac(secret, b"portreeve reflector", theirs, ours).hex()
link.sendall(json.dumps({"answer": "accepted", "proof": proof, "session": "7"}).encode() + b"\\n")
channel = mac(secret, b"portreeve control\\0", theirs, ours)
names = ("listen_overflows", "listen_drops", "receive_buffer_errors", "refused_by_limits", "unauthenticated")
counters = dict.fromkeys(names, {"huge counters": 1 << 63 - 1, "negative counters": -5}.get(kind, 0))
peer = "198.18.1.2:1"
stranger, sighting = ["tcp", 80, peer, 0, False], [80, peer, 1, 0, 0, 0, 0]
drop = {"protocol": "tcp", "source": peer, "destination": "198.18.2.2:80", "direction": "incoming", "action": "deny", "reason": "deny",
        "rule": None, "place": None, "count": (1 << 63) - 1}
def pages(name, entry, count, usual):
    endless = kind == f"endless {name}"
    return {name: [entry] * count if endless else usual, "more": endless}
answers = {
    "open": {"answer": "opened", "refused": []}, "go": {"answer": "ready"}, "alive": {"answer": "alive", "counters": counters},
    "witness": {"answer": "witness", "records": [[0, 0, 0, None, None]], **pages("strangers", stranger, 1500, [])},
    "sightings": {"answer": "sightings", "complete": True, **pages("sightings", sighting, 1500, [])},
    "drops": {"answer": "drops", "settling": 0 if kind == "endless drops" else None, **pages("drops", drop, 250, [])},
    "end": {"answer": "ended"}}
if kind == "empty pages":
    answers["witness"] = {"answer": "witness", "records": [], "strangers": [], "more": True}
texts = {name: json.dumps(answer, separators=(",", ":")).encode() for name, answer in answers.items()}
asked = 0
for number, line in enumerate(lines):
    text = texts[json.loads(line[33:])["ask"]]
    asked += 1
    try:
        link.sendall(mac(channel, b"\\2", struct.pack(">Q", number), text)[:16].hex().encode() + b" " + text + b"\\n")
    except OSError:
        break
print(f"asked {asked}", flush=True)
"""


class HostileTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.client, cls.host = cls.lab.client, cls.lab.host

    def setUp(self):
        self.reflector = self.enterContext(Reflector(self.host))
        self.addCleanup(self.host.flush_rules)

    def state(self):
        """(kilobytes that are resident, descriptors) of the reflector."""
        process = self.reflector.process.pid
        with open(f"/proc/{process}/status") as status:
            resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        return resident, len(os.listdir(f"/proc/{process}/fd"))

    def attack(self, program, address, count, seconds):
        before = self.state()
        output = self.client.python(program, HERE, address, self.reflector.key, count, seconds=seconds)
        wait_until(lambda: self.state()[1] <= before[1] + 1, "its descriptors are closed")
        self.assertLess(self.state()[0] - before[0], 16 << 10, output)
        return output

    def test_a_million_datagrams_get_no_byte(self):
        self.host.rules(f"*filter\n-A OUTPUT -p udp --sport {PORT}:{PORT + 3}\n")
        output = self.attack(DATAGRAMS, self.host.ip4, 1_000_000, 120)
        self.assertIn("1000000 sent", output)
        self.assertIn(" 0 bytes back", output)
        # The two honest answers left this host, and nothing else.
        self.assertEqual(self.host.rule_packets("OUTPUT"), [2], output)
        counted = int(output.split()[2])
        self.assertGreater(counted, 100_000, output)

    def test_ten_thousand_broken_sessions_get_no_byte(self):
        for address in (self.host.ip4, self.host.ip6):
            output = self.attack(SESSIONS, address, 5_000, 120)
            self.assertIn("5000 sessions, 0 bytes back", output)

    def test_connections_that_say_nothing_are_bounded_where_a_scan_is_silent_on_purpose(self):
        """--idle keeps them for longer; one more than 4,096 is closed at once, and all of them with the lease."""
        for address in (self.host.ip4, self.host.ip6):
            output = self.attack(SILENT, address, 4_150, 60)
            self.assertIn("54 of 4150 closed at once, 54 counted", output)

    def test_a_reflector_that_lies_is_found_out_in_a_bounded_time(self):
        """Counters that no kernel has, and answers that do not end."""
        said = "the answer to another question"
        for kind, words in (
                ("huge counters", "no reflector, or the wrong one"), ("negative counters", "no reflector, or the wrong one"),
                ("endless strangers", said), ("endless sightings", said), ("endless drops", said), ("empty pages", said)):
            with self.subTest(kind):
                liar = self.host.start("/usr/bin/python3", "-c", LIAR, HERE, self.reflector.key, kind, name="liar")
                self.addCleanup(liar.stop)
                wait_until(lambda: "ready" in liar.output(), "the liar listens", process=liar)
                before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
                found = scan(
                    self.client, self.host.ip4, "-s", f"{self.host.ip4}:7412", "-t", "80", "-i", "300", "--retries", "0",
                    key=self.reflector.key, seconds=240)
                self.assertEqual(found.status, 2, found.output)
                self.assertIn(words, found.said)
                after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
                self.assertLess(after - before, 400 << 10, found.output)
                liar.wait(10)
                # 262,144 of anything, and no more.
                self.assertLess(int(liar.output().split("asked ")[1]), 1_100)


if __name__ == "__main__":
    unittest.main(verbosity=2)

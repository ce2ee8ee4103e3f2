# SPDX-License-Identifier: GPL-3.0-or-later
"""A reflector among strangers: whatever does not authenticate gets not one byte, and costs nothing that stays."""

import os
import unittest

import isolation

isolation.isolate()

from lab import Lab
from paths import Reflector

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
        after = self.state()
        self.assertLess(after[0] - before[0], 16 << 10, output)
        self.assertLessEqual(after[1], before[1] + 1, output)
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


if __name__ == "__main__":
    unittest.main(verbosity=2)

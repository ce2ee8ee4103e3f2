# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose connections are judged by the agent and believed by a real stack, and what the two of them make of hostile segments.

    the client's end ── left │ the host: agent, stack, and the server's sockets, which are held here

Many connections are played at once, a step of each at a time. After each step the pictures are compared:

- no ghost: the agent's state of a connection is what the host's socket is in;
- no blindness: the socket received nothing while the agent took the connection for over;
- no harm: while the socket is open, what the client and the host honestly say passes and arrives;
- one reason: a packet that was dropped has one event.
"""

import collections
import fcntl
import json
import socket
import struct
import termios
import time

import weaving
from agent import Agent
from conversations import ACK, FIN, PSH, SYN, WRAP
from forge import inside, one_cpu
from judges import Router
from lab import wait_until
from mutations import PORT, SERVER, Client, content

POLICY = """
version: 1
queue: { length: 65535 }
rules:
  - { name: Told, action: deny, direction: outgoing, protocol: udp, destination: { ports: 9 } }
  - { name: Fence, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 7001 } }
engine: { anti-evasion: strict, timeouts: { cold-start: 0s, boot-start: 0s, closed: 1s, time-wait: 1s } }
"""
TCP_INFO = 11
# tcp_states.h, as ss(8) names them.
STATES = {1: "ESTAB", 3: "SYN-RECV", 4: "FIN-WAIT-1", 5: "FIN-WAIT-2", 6: "TIME-WAIT", 7: None, 8: "CLOSE-WAIT", 9: "LAST-ACK", 11: "CLOSING"}
FENCE = bytes((10, 254, 0, 1))


class Picture:
    """A connection after a step: what its socket is in and has received, and what the agent calls that."""

    def __init__(self, stack, received, agent):
        self.stack, self.received, self.agent = stack, received, agent

    @property
    def is_same(self):
        if self.stack is None:
            # A SYN on what is over is of another connection, which has no socket yet.
            return self.agent in weaving.OVER | {"SYN-SENT", "SYN-RECEIVED"}
        # A FIN that was seen beyond a gap is remembered by both, and counted at once by the agent.
        return self.agent in weaving.OPENED_BY["client"][self.stack] or (self.stack, self.agent) == ("ESTAB", "FIN-WAIT-1")

    def __repr__(self):
        return f"socket {self.stack}, {self.received} bytes; agent {self.agent}"


class Host:
    """The machine. `play` takes clients, and returns what was violated."""

    def __init__(self, lab):
        self.router = Router(lab, "stack")
        self.namespace = self.router.namespace
        self.namespace.sysctl(net__ipv4__ip_forward=0, net__ipv4__tcp_syncookies=0, net__ipv4__tcp_max_syn_backlog=4096, net__core__somaxconn=4096,
                              net__ipv4__tcp_invalid_ratelimit=0, net__ipv4__tcp_challenge_ack_limit=0x7FFFFFFF)
        self.agent = Agent(self.namespace, POLICY, name=lab.file("stack"), file_settings="budget: off").start()
        self.agent.feed()
        with inside(self.namespace):
            self.listener = socket.create_server(("10.255.255.1", PORT), backlog=4096)
            self.fence_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.fence_socket.bind(("10.255.255.1", 7001))
        self.listener.setblocking(False)
        self.fence_socket.settimeout(30)
        self.fences = self.offset = 0
        self.events = collections.defaultdict(list)

    # The wire

    def put(self, packet):
        self.router.put(packet, True)

    def fence(self):
        """Until all that was put in is judged and believed, and all that the host said to it is judged, and told of."""
        self.fences += 1
        number = struct.pack(">I", self.fences)
        udp = struct.pack(">HHHH", 1, 7001, 12, 0) + number
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 32, 1, 0x4000, 64, 17, 0, FENCE, SERVER)
        from conversations import checksum
        self.put(ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:] + udp)
        while self.fence_socket.recv(64) != number:
            pass
        try:
            self.fence_socket.sendto(number, ("10.254.0.1", 9))
        except PermissionError:
            pass
        self.fence_socket.sendto(number, ("10.254.0.1", 10))
        heard = False

        def is_reached():
            nonlocal heard
            heard = self.hear(number) or heard
            return heard and self.read_events(self.fences)

        wait_until(is_reached, "the fence is through", 60, self.agent.process)

    def hear(self, number):
        """Reads what comes out at the client's end; whether the fence is among it."""
        end = self.router.ends["left"][1]
        found = False
        while True:
            try:
                frame = end.recv(2048, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found
            packet = frame[14:]
            if packet[9] == 17 and packet[16:20] == FENCE:
                found = found or packet[28:32] == number
            elif packet[9] == 6:
                client = self.clients.get(packet[16:20])
                if client is not None:
                    self.answer(client, packet)

    @staticmethod
    def answer(client, packet):
        """What the client learns from a segment of the host's."""
        segment = packet[20:struct.unpack(">H", packet[2:4])[0]]
        seq, _, offset, flags, window = struct.unpack(">IIBBH", segment[4:16])
        length = len(segment) - 4 * (offset >> 4)
        options = segment[20:4 * (offset >> 4)]
        if flags & SYN:
            client.expected = (seq + 1) % WRAP
        elif length and seq == client.expected:
            client.expected = (seq + length) % WRAP
        if client.has_stamps and (at := options.find(b"\x08\x0a")) >= 0 and len(options) >= at + 6:
            client.echo = struct.unpack(">I", options[at + 2:at + 6])[0]

    def read_events(self, fence):
        """Takes up new records; whether that of this fence is among them."""
        reached = False
        with open(self.agent.events_file, "rb") as file:
            file.seek(self.offset)
            lines, _, _ = file.read().rpartition(b"\n")
        if lines:
            self.offset += len(lines) + 1
        for line in lines.splitlines():
            record = json.loads(line)
            if record.get("dest_port") == 9:
                self.told += 1
                reached = True
            elif record["portreeve"]["reason"] == "internal-driver-error":
                raise RuntimeError(f"the agent says: {line}")
            elif record["event_type"] == "drop":
                from_host = record["src_ip"] == "10.255.255.1"
                self.events[record["dest_ip" if from_host else "src_ip"]].append(
                    (None if from_host else record["drop"]["ipid"], record["portreeve"]["reason"]))
        self.is_told = self.is_told or reached
        if self.is_told:
            self.is_told = False
            return True
        return False

    # The pictures

    def pictures(self):
        """Of all clients."""
        listing = self.agent.tool("connections", "--json", "--protocol", "tcp", "--port", PORT, "--limit", "100000", seconds=60)
        agents = {}
        for line in listing.splitlines():
            row = json.loads(line)
            agents[row["src_ip"] if row["src_ip"] != "10.255.255.1" else row["dest_ip"]] = row["state"]
        found = {}
        self.accept_others()
        for client in self.clients.values():
            state = client.socket.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 8)[0]
            # Nothing is ever read: what waits there is all that came.
            waiting = struct.unpack("=i", fcntl.ioctl(client.socket, termios.FIONREAD, bytes(4)))[0]
            found[client] = Picture(STATES[state], waiting, agents.get(client.text))
        return found

    def accept_others(self):
        """A SYN among the hostile segments may have opened a connection of its own where the first was over."""
        while True:
            try:
                connection, (address, _) = self.listener.accept()
            except BlockingIOError:
                return
            client = self.clients[socket.inet_aton(address)]
            weaving.end(client.socket)
            client.socket, client.is_another = connection, True
            connection.setblocking(False)

    def settled_pictures(self):
        """Pictures after a host's last delayed acknowledgement, which comes 200 ms later at most: before it the agent cannot know
        that a FIN was taken."""
        deadline = time.monotonic() + 0.5
        while True:
            found = self.pictures()
            if time.monotonic() > deadline or all(picture.is_same for picture in found.values()):
                return found
            time.sleep(0.05)
            self.fence()

    # A batch

    def play(self, seed, numbers):
        """Plays the sequences of these numbers; returns violations as texts."""
        self.clients, self.violations = {}, []
        self.events.clear()
        self.told, self.is_told = 0, False
        with one_cpu():
            for number in numbers:
                client = Client(seed, number, (10 << 24) + 1 + number)
                self.clients[client.address] = client
                client.history, client.is_wrong, client.is_another = [], False, False
            self.open()
            before = self.pictures()
            for step in range(4):
                sent = {}
                for client in self.clients.values():
                    if step < len(client.mutations):
                        first = client.place + 1
                        for packet in client.hostile(client.mutations[step]):
                            self.put(packet)
                        sent[client] = range(first, client.place + 1)
                        client.history.append(client.mutations[step])
                self.fence()
                after = self.settled_pictures()
                for client, places in sent.items():
                    self.compare(client, before[client], after[client], places)
                before = after
            self.go_on(before)
            self.end()
        return self.violations

    def open(self):
        for client in self.clients.values():
            self.put(client.packet(SYN, seq=client.initial))
        self.fence()
        for client in self.clients.values():
            self.put(client.packet(ACK))
            self.put(client.packet(PSH | ACK, data=content(client.next, client.initial, 20)))
            client.next = (client.next + 20) % WRAP
        self.fence()
        for _ in self.clients:
            connection, (address, _) = self.listener.accept()
            client = self.clients[socket.inet_aton(address)]
            client.socket = connection
            connection.setblocking(False)
            connection.send(bytes(30))
        self.fence()
        for client in self.clients.values():
            self.put(client.packet(ACK))
        self.fence()
        for client, picture in self.pictures().items():
            if (picture.stack, picture.agent, picture.received) != ("ESTAB", "ESTABLISHED", 20) or self.events[client.text]:
                raise RuntimeError(f"{client.text} did not open: {picture}, {self.events[client.text]}")

    def compare(self, client, before, after, places):
        reasons = self.events[client.text]
        client.history.append((after, list(reasons)))
        if not after.is_same:
            self.violate(client, "ghost")
        if after.received != before.received and before.agent in weaving.OVER:
            self.violate(client, "blindness")
        if any(place is None for place, _ in reasons) and before.stack is not None:
            self.violate(client, "harm to the host")
        places = [place for place, _ in reasons if place is not None]
        allowed = collections.Counter()
        for place in places:
            allowed[place] += 1
        if any(count > 2 for count in allowed.values()):
            self.violate(client, "more than one reason")
        reasons.clear()

    def go_on(self, before):
        """Both ends speak honestly, where they can."""
        speaking = {}
        for client, picture in before.items():
            if picture.stack not in ("ESTAB", "CLOSE-WAIT") or not picture.is_same or client.is_another:
                continue
            client.next = (client.initial + 1 + picture.received + (picture.stack == "CLOSE-WAIT")) % WRAP
            speaking[client] = picture
            client.socket.send(bytes(10))
            if picture.stack == "ESTAB":
                client.last = client.place + 1
                self.put(client.packet(PSH | ACK, data=content(client.next, client.initial, 2_000)[:1_400]))
        self.fence()
        after = self.pictures()
        for client, picture in speaking.items():
            reasons = self.events[client.text]
            client.history.append(("goes on", after[client], list(reasons)))
            if any(place is None for place, _ in reasons):
                self.violate(client, "harm to the host")
            # Where other bytes wait in the place of the client's, these are not the first; a false data offset makes others.
            waits = any(m.length and (m.garbled or m.offset) for m in client.mutations)
            if picture.stack == "ESTAB" and after[client].received < picture.received + 1_400 and not (
                    waits and {reason for _, reason in reasons} == {"dropped-retransmit"}):
                self.violate(client, "harm to the client")

    def violate(self, client, what):
        if client.is_wrong:
            return
        client.is_wrong = True
        self.violations.append(f"{what}: sequence {client.number}, {'with' if client.has_stamps else 'without'} time stamps\n  "
                               + "\n  ".join(map(str, client.history)))

    def end(self):
        for client in self.clients.values():
            weaving.end(client.socket)
        self.fence()

    def close(self):
        self.listener.close()
        self.fence_socket.close()
        self.agent.stop()
        self.router.close()

# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol of `portreeve reflect` once more, from its description: a client that holds a lease, and the payloads."""

import hashlib
import hmac
import json
import os
import socket
import struct

MAGIC = bytes.fromhex("50f07e57")


def mac(key, *parts):
    return hmac.digest(key, b"".join(parts), hashlib.sha256)


class Lease:
    """A lease for UDP and TCP ports: {"tcp": "80-89", "udp": "53"}; `key` is the file's."""

    def __init__(self, address, key, ports, port=7411):
        with open(key) as file:
            secret = bytes.fromhex(file.read())
        self.socket = socket.create_connection((address, port), 10)
        self.lines = self.socket.makefile("rb")
        nonce = os.urandom(32)
        self.channel = None
        theirs = bytes.fromhex(self.ask({"ask": "hello", "version": 3, "nonce": nonce.hex()})["nonce"])
        accepted = self.ask({"ask": "prove", "proof": mac(secret, b"portreeve client", nonce, theirs).hex()})
        if bytes.fromhex(accepted["proof"]) != mac(secret, b"portreeve reflector", nonce, theirs):
            raise ValueError("the reflector's proof")
        self.session = int(accepted["session"], 16)
        self.channel = mac(secret, b"portreeve control\0", nonce, theirs)
        self.payload_key = mac(secret, b"portreeve payload\0", nonce, theirs)
        self.written = self.read = self.probes = 0
        for protocol, each in ports.items():
            self.open(protocol, each, 6 if ":" in address else 4)
        self.ask({"ask": "go"})

    def open(self, protocol, ports, family):
        first, _, last = ports.partition("-")
        answer = self.ask({"ask": "open", "protocol": protocol, "family": family, "ports": ports, "first": self.probes,
                           "script": None, "sources": []})
        if answer["refused"]:
            raise ValueError(answer)
        self.probes += int(last or first) - int(first) + 1

    def proof(self, side, number, text):
        return mac(self.channel, bytes([side]), struct.pack(">Q", number), text)[:16].hex().encode()

    def ask(self, request):
        text = json.dumps(request).encode()
        if self.channel is None:
            self.socket.sendall(text + b"\n")
            return json.loads(self.lines.readline())
        self.socket.sendall(self.proof(1, self.written, text) + b" " + text + b"\n")
        self.written += 1
        proof, _, text = self.lines.readline().rstrip(b"\n").partition(b" ")
        if proof != self.proof(2, self.read, text):
            raise ValueError("a line that the reflector did not write")
        self.read += 1
        return json.loads(text)

    def counters(self):
        return self.ask({"ask": "alive"})["counters"]

    def payload(self, direction, port, probe, attempt=0, filling=b""):
        head = MAGIC + struct.pack(">BBHQQII", 1, direction, port, self.session, probe, 48 + len(filling), attempt)
        return head + mac(self.payload_key, head, filling)[:16] + filling

    def request(self, *arguments, **options):
        return self.payload(1, *arguments, **options)

    def reply(self, *arguments, **options):
        return self.payload(2, *arguments, **options)

    def close(self):
        self.lines.close()
        self.socket.close()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for a unit of systemd's, by an agent under its own: told apart by its control group, also after it was started again."""

import os
import subprocess
import sys

import peers
from step import check, contains, equal, run, status, step, wait_until
from system import Since, policy, protect
from wire import FAR, FAR4, FAR6

UNIT = "portreeve-test-sender.service"
PATH = f"/etc/systemd/system/{UNIT}"
PORT = 7100
RULE = f"""
  - {{ name: Only the unit, action: deny, direction: outgoing, protocol: tcp+udp, destination: {{ ports: {PORT} }},
      sender: {{ units: {{ not: [{UNIT}] }} }} }}
"""
# Prints by family and protocol whether the answer came.
ASK = f"""
import socket, sys
for address in sys.argv[1:]:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        s.settimeout(2)
        try:
            s.connect((address, {PORT}))
            s.sendall(b"question")
            print(s.recv(100) == b"question", flush=True)
        except OSError as error:
            print(error.strerror or "nothing", flush=True)
"""
ECHO = f"""
import socket, sys, threading
def datagrams(address):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, {PORT}))
    while True:
        data, sender = s.recvfrom(100)
        s.sendto(data, sender)
for address in sys.argv[1:]:
    threading.Thread(target=datagrams, args=[address], daemon=True).start()
server = socket.create_server(("::", {PORT}), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(connection.recv(100))
    connection.close()
"""
UNIT_FILE = f"""
[Service]
Type=oneshot
ExecStartPre=-+/usr/bin/portreeve iptables --units
ExecStart={sys.executable} /run/portreeve-test-ask.py {FAR4} {FAR6}
StandardOutput=truncate:/run/portreeve-test-answers
"""


def started():
    """What the unit was told; it is another control group each time."""
    run("systemctl", "start", UNIT)
    with open("/run/portreeve-test-answers") as file:
        return file.read().split("\n")[:-1]


@step("senders: a unit's packets pass a rule for it, others' do not, and events name their unit", seconds=150)
def senders():
    protect()
    with open("/run/portreeve-test-ask.py", "w") as file:
        file.write(ASK)
    with open(PATH, "w") as file:
        file.write(UNIT_FILE)
    run("systemctl", "daemon-reload")
    echo = subprocess.Popen([*FAR, sys.executable, "-c", ECHO, FAR4, FAR6], stdout=subprocess.PIPE, text=True)
    try:
        equal(echo.stdout.readline(), "ready\n", "the echo")
        policy(peers.POLICY + RULE)
        contains(run("portreeve", "iptables", "--print"), f"not running now, so that nothing is known as theirs: {UNIT}", "what is printed")
        for _ in range(2):
            equal(started(), ["True"] * 4, "what the unit is told")
        since = Since()
        refused = run(sys.executable, "/run/portreeve-test-ask.py", FAR4, FAR6).split("\n")[:-1]
        check("True" not in refused, f"what others are told: {refused}")
        events = wait_until(lambda: len(since.events()) >= 4 and since.events(), "events of what was refused")
        equal({event["portreeve"].get("user") for event in events}, {"root"}, "whose packets were refused")
        check(all(event["portreeve"].get("unit", "").endswith((".service", ".scope", ".slice")) for event in events
                  if event["proto"] == "TCP"), f"of which unit: {[event['portreeve'] for event in events]}")
    finally:
        echo.kill()
        policy(peers.POLICY)
        os.unlink(PATH)
        run("systemctl", "daemon-reload")
        status("portreeve", "iptables", "--apply")
    return f"units: {UNIT} {refused}"

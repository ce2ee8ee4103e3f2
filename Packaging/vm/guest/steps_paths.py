# SPDX-License-Identifier: GPL-3.0-or-later
"""The path tester: a reflector as a service, scans from here and from the other machine."""

import json
import os

import readme
from step import check, equal, run, sh, status, step
from system import exposure, is_active, process_status, shown
from wire import NEAR4, NEAR6, far_status

UNIT = "portreeve-reflect.service"
KEY = "/etc/portreeve/reflect.key"


def scan(address, *words):
    """{(protocol, port): (category, detail)} as the other machine finds it, and the exit status."""
    code, output = far_status("portreeve", "scan", "--json", "--key", KEY, *words, address)
    rows = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return code, {(row["proto"], int(row["dst"].rpartition(":")[2])): (row["category"], row["detail"]) for row in rows}


@step("README: a reflector as a service, off until it is started, and a scan of this host")
def reflector():
    check(not is_active(UNIT), "it runs before anybody started it")
    equal(shown("UnitFileState", unit=UNIT)["UnitFileState"], "disabled", "UnitFileState")
    readme.follow("reflect")
    check(is_active(UNIT), f"{UNIT} is active")
    process = process_status(int(shown("MainPID", unit=UNIT)["MainPID"]))
    equal(int(process["CapEff"], 16), 1 << 10, "capabilities")  # CAP_NET_BIND_SERVICE
    check("0" not in process["Uid"].split(), "it runs as root")
    equal(process["Seccomp"], "2", "Seccomp")
    whole = exposure(UNIT)
    check(whole < 2.0, f"exposure {whole}")
    readme.follow("scan")
    return f"exposure {whole}"


@step("scans from the other machine: open, dropped by a filter, taken by a service")
def scans():
    for address in (NEAR4, NEAR6):
        code, found = scan(address, "-t", "9,22,80", "-u", "53", "-i", "2000", "--retries", "0")
        equal(found[("tcp", 80)], ("open", "answered"), f"port 80 of {address}")
        equal(found[("udp", 53)], ("open", "answered"), f"port 53 of {address}")
        equal(found[("tcp", 9)][0], "handshake_timeout", f"port 9 of {address}, which a filter drops")
        equal(found[("tcp", 22)], ("skipped", "reflector_EADDRINUSE"), f"port 22 of {address}, which sshd has")
        equal(code, 2, "the exit status: port 22 was not probed")
    return ", ".join(f"{proto} {port} {result[0]}" for (proto, port), result in sorted(found.items()))


@step("the reflector ends, and nothing of it stays")
def ended():
    run("systemctl", "stop", UNIT)
    check(not is_active(UNIT), f"{UNIT} is active")
    equal(shown("Result", unit=UNIT)["Result"], "success", "Result")
    check(":7411 " not in run("ss", "-Hnlt"), "something listens on its port")
    os.remove(KEY)
    equal(status("systemctl", "start", UNIT)[0], 0, "a start without a key, which is left out")
    check(not is_active(UNIT), "it runs without a key")
    sh(f"systemctl reset-failed {UNIT} || true")

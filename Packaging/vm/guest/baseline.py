# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine was before the package came, to compare at the end."""

import json
import os

from step import Failed, check, status
from system import rules_of_others

KEPT = "/var/lib/portreeve-test.baseline"
ROOTS = ("/etc", "/usr", "/var", "/opt", "/srv", "/root", "/home")
# What every apt or boot changes, and what belongs to the test.
PASSING = ("/var/log", "/var/cache", "/var/tmp", "/var/lib/apt", "/var/lib/dpkg", "/var/lib/systemd", "/var/backups", "/opt/tests",
           "/var/lib/portreeve-test", "/root", "/etc/ld.so.cache", "/var/lib/logrotate", "/var/lib/private")


# Rules such as administrators, firewalld and Docker have, in every table that Portreeve uses or could.
OTHERS = """
iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; iptables -A DOCKER-USER -j RETURN
iptables -A INPUT -p tcp --dport 9 -j DROP
iptables -t mangle -N handmade; iptables -t mangle -A PREROUTING -p tcp --dport 10 -j handmade
iptables -t mangle -A handmade -j MARK --set-xmark 0x1/0xff
ip6tables -A INPUT -p tcp --dport 9 -j DROP
nft add table inet firewalld
nft add chain inet firewalld filter_INPUT '{ type filter hook input priority 10; policy accept; }'
nft add rule inet firewalld filter_INPUT tcp dport 11 drop
"""


def files():
    """Every path of the system that stays, and /var/log's directories."""
    found = [path for path in os.listdir("/var/log") if os.path.isdir(f"/var/log/{path}")]
    paths = {f"/var/log/{path}" for path in found}
    for root in ROOTS:
        for directory, names, others in os.walk(root):
            names[:] = [name for name in names if not passes(os.path.join(directory, name))]
            paths.update(os.path.join(directory, name) for name in [*names, *others])
    return sorted(path for path in paths if path.startswith("/var/log/") or not passes(path))


def passes(path):
    return path.startswith(PASSING)


def accounts():
    """User and group names."""
    return sorted(line.split(":")[0] for name in ("passwd", "group") for line in open(f"/etc/{name}"))


def units():
    """Enabled units, and whatever is left of others."""
    # systemd reads each of them for its answer, which D-Bus waits for 25 s: too little where the machine is emulated and busy.
    for _ in range(5):
        code, text = status("systemctl", "list-unit-files", "--no-legend", "--no-pager")
        if code == 0:
            break
    else:
        raise Failed(text)
    return sorted(line.split()[0] for line in text.splitlines())


def keep():
    with open(KEPT, "w") as file:
        json.dump({"files": files(), "units": units(), "accounts": accounts(), "rules": rules_of_others()}, file)


def kept():
    with open(KEPT) as file:
        return json.load(file)


def same(found, before, what, allowed=()):
    """Nothing new, nothing missing; `allowed` are packages' own that may be new."""
    new = [one for one in found if one not in set(before) and not one.startswith(tuple(allowed))]
    missing = [one for one in before if one not in set(found)]
    check(not new and not missing, f"{what}: new {new[:20]}, missing {missing[:20]}")

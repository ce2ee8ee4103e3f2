# SPDX-License-Identifier: GPL-3.0-or-later
"""Event records, each held against the tool's own schema and against what its fields say of one another."""

import base64
import functools
import hashlib
import ipaddress
import json
import os
import re
import struct
import subprocess

import jsonschema

# What answers what: a community ID has no direction for these types.
COUNTERPARTS = {
    "ICMP": {0: 8, 8: 0, 9: 10, 10: 9, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17},
    "IPv6-ICMP": {128: 129, 129: 128, 130: 131, 131: 130, 133: 134, 134: 133, 135: 136, 136: 135, 139: 140, 140: 139,
                  144: 145, 145: 144}}
PROTOCOLS = {"ICMP": 1, "TCP": 6, "UDP": 17, "IPv6-ICMP": 58}
EXPLANATION = re.compile(
    r"(?P<setting>[a-z0-9]+(\.[a-z0-9-]+)+): (?P<value>.+)"
    r'|rule "(?P<rule>.*)"( \((?P<file>.+):(?P<line>\d+):\d+\))?: (?P<action>deny|allow|force-allow|bypass|log-only|rate)'
    r"|rules: no allow or force-allow rule matches|rule: no longer known")


@functools.cache
def validator():
    from agent import binaries

    schema = subprocess.check_output([os.path.join(binaries(), "portreeve"), "schema", "--events"])
    return jsonschema.Draft202012Validator(json.loads(schema))


def parsed(lines):
    """The records of these lines, text or bytes."""
    return [record(line) for line in lines]


def record(line):
    """The record of one line; raises AssertionError where it is none, or contradicts itself."""
    found = json.loads(line, object_pairs_hook=without_twins)
    errors = [f"{error.json_path}: {error.message}"[:300] for error in validator().iter_errors(found)]
    assert not errors, (errors, line)
    facts = found["portreeve"]
    assert facts["first"] == found["timestamp"] and facts["first"] <= facts["last"], line
    assert found.get("drop", facts)["reason"] == facts["reason"], line
    for text in facts.get("explain", []):
        assert EXPLANATION.fullmatch(text), (text, line)
    if "community_id" in found:
        assert found["community_id"] == community_id(found), line
    assert ("community_id" in found) <= ("flow_id" in found) or "icmp_type" in found, line
    return found


def without_twins(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), keys
    return dict(pairs)


OTHER_PROTOCOLS = {
    "IGMP": 2, "IP-ENCAP": 4, "DCCP": 33, "IPv6": 41, "GRE": 47, "ESP": 50, "AH": 51, "EIGRP": 88, "OSPFIGP": 89, "PIM": 103,
    "VRRP": 112, "L2TP": 115, "SCTP": 132, "UDPLite": 136}


def community_id(found):
    """Computed from the record's own fields, by the specification."""
    source, destination = (ipaddress.ip_address(found[key]).packed for key in ("src_ip", "dest_ip"))
    name, has_direction, ports = found["proto"], False, None
    if "icmp_type" in found:
        answer = COUNTERPARTS[name].get(found["icmp_type"])
        has_direction = answer is None
        ports = found["icmp_type"], found["icmp_code"] if has_direction else answer
    elif "src_port" in found:
        ports = found["src_port"], found["dest_port"]
    if not has_direction and (source, ports) > (destination, ports and ports[::-1]):
        source, destination, ports = destination, source, ports and ports[::-1]
    number = PROTOCOLS.get(name) or (int(name) if name.isdigit() else OTHER_PROTOCOLS[name])
    text = b"\0\0" + source + destination + bytes([number, 0]) + (struct.pack("!HH", *ports) if ports else b"")
    return "1:" + base64.b64encode(hashlib.sha1(text).digest()).decode()

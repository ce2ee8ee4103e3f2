# SPDX-License-Identifier: GPL-3.0-or-later
"""The index templates for Elastic and OpenSearch: each field that `format: ecs` and `format: ocsf` can write is in them, with the type that
the published schemas have, and what an agent writes fits."""

import datetime
import ipaddress
import json
import os
import re
import subprocess
import unittest

import isolation

isolation.isolate()

import fleet
from agent import Agent, binaries
from lab import Lab, wait_until

try:
    import ocsf_emitter._models as ocsf
except ImportError:
    ocsf = None

SOURCES = os.path.join(fleet.ROOT, "Sources", "EventLog", "Formats")
POLICY = """
version: 1
rules:
  - { name: No telnet, action: deny, direction: incoming, protocol: tcp, priority: 4, destination: { ports: 23 }, packet-data: true }
  - { name: No DNS, action: deny, direction: incoming, protocol: udp, priority: 4, destination: { ports: 53 } }
  - { name: No ping, action: deny, direction: outgoing, protocol: icmp, priority: 4, icmp: { type: echo-request } }
engine: { timeouts: { cold-start: 0s, boot-start: 0s } }
events: { new-connections: [tcp], closed-connections: [tcp] }
"""
# Of the published field reference of ECS 8.11: the type of each field that is used here.
ECS = {
    "keyword": """ecs.version host.hostname event.kind event.category event.type event.action event.code event.reason event.provider
        event.module event.dataset event.original source.address source.mac destination.address destination.mac network.direction
        network.type network.iana_number network.transport network.community_id network.vlan.id rule.name rule.category rule.id
        rule.ruleset rule.version user.id user.name user.group.id observer.vendor observer.product observer.type observer.version
        observer.hostname observer.ingress.interface.name observer.egress.interface.name""",
    "long": """event.severity event.sequence event.duration source.port source.bytes source.packets destination.port destination.bytes
        destination.packets network.bytes network.packets""",
    "ip": "source.ip destination.ip", "date": "@timestamp event.start event.end", "match_only_text": "message",
}
# The members of `labels` are keywords, whatever they are called.
ECS_FIELDS = {name: kind for kind, names in ECS.items() for name in names.split()} | {"labels.count": "keyword"}
# How a type of a JSON Schema is indexed.
KINDS = {"string": {"keyword", "ip", "date", "match_only_text"}, "integer": {"integer", "long", "date"}, "array": {"keyword"}}


def leaves(mapping, prefix=""):
    """{dotted name: mapping of the field}."""
    found = {}
    for name, value in mapping.items():
        if "properties" in value:
            found.update(leaves(value["properties"], f"{prefix}{name}."))
        else:
            found[prefix + name] = value
    return found


def template(name):
    page = json.loads(fleet.text("opensearch", f"{name}.json"))
    return leaves(page["template"]["mappings"]["properties"])


def values(record, prefix=""):
    """(dotted name, value) of each leaf; members of lists one by one, as they are indexed."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from values(value, f"{prefix}{name}.")
        else:
            for each in value if isinstance(value, list) else [value]:
                yield prefix + name, each


def fits(value, field):
    """Whether a field with that mapping takes the value, and loses none of it."""
    kind = field["type"]
    if kind == "ip":
        return bool(ipaddress.ip_address(value))
    if kind == "date" and field["format"] == "epoch_millis":
        return isinstance(value, int) and value > 1.7e12
    if kind == "date":
        # The first of its formats.
        return bool(datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%f%z")) and len(value) == 31
    if kind in ("integer", "long"):
        bits = 31 if kind == "integer" else 63
        return isinstance(value, int) and -(1 << bits) <= value < 1 << bits
    return isinstance(value, str) and len(value) <= field.get("ignore_above", 1 << 30)


def written_names(file):
    """The keys that a format writes, as its source names them."""
    with open(os.path.join(SOURCES, file), encoding="utf-8") as source:
        text = source.read()
    names = set(re.findall(r'(?:\.field|beginObject)\(\s*"([^"]+)"', text))
    for call in re.findall(r"append(?:Pair|Endpoint|Interface)\(([^)]*)", text):
        names.update(re.findall(r'"([a-z_]+)"', call))
    names.update(name for line in re.findall(r"json\.field\([^\n]*\? ([^\n]*)", text) for name in re.findall(r'"([a-z_]+)"', line))
    return names


class TemplateTests(unittest.TestCase):
    def test_every_key_of_the_object_portreeve(self):
        """The schema that the tool prints has each key of it."""
        schema = json.loads(subprocess.check_output([os.path.join(binaries(), "portreeve"), "schema", "--events"]))
        keys = schema["properties"]["portreeve"]["properties"]
        for name, prefix in (("ecs", "portreeve."), ("ocsf", "unmapped.portreeve.")):
            ours = {key.removeprefix(prefix): field for key, field in template(name).items() if key.startswith(prefix)}
            self.assertEqual(set(ours), set(keys), name)
            for key, field in ours.items():
                kind = keys[key].get("type") or ("integer" if isinstance(keys[key]["enum"][0], int) else "string")
                self.assertIn(field["type"], KINDS[kind], f"{prefix}{key}")
                if "maximum" in keys[key] and field["type"] == "integer":
                    self.assertLess(keys[key]["maximum"], 1 << 31)

    def test_every_other_key_and_nothing_else(self):
        for name, file in (("ecs", "ECS.swift"), ("ocsf", "OCSF.swift")):
            parts = {part for field in template(name) if "portreeve." not in field for part in field.split(".")}
            self.assertEqual(written_names(file) - {"unmapped"}, parts, name)

    def test_ecs_has_the_types_of_its_field_reference(self):
        ours = {name: field["type"] for name, field in template("ecs").items() if not name.startswith("portreeve.")}
        self.assertEqual(ours, ECS_FIELDS)

    @unittest.skipUnless(ocsf, "needs ocsf-emitter: make deps-lab")
    def test_ocsf_has_the_fields_of_its_class(self):
        def model(annotation):
            """The class behind Optional and list, or None."""
            for each in (annotation, *getattr(annotation, "__args__", ())):
                if isinstance(each, type) and hasattr(each, "model_fields"):
                    return each
                if each is not annotation and model(each):
                    return model(each)
            return None

        # What its profiles Security Control and Host add stands in no class of the package's.
        profiles = {"action_id": int, "action": str, "disposition_id": int, "disposition": str, "policy": ocsf.Policy, "actor": ocsf.Actor,
                    "device": ocsf.Device, "firewall_rule.name": str, "firewall_rule.uid": str, "firewall_rule.type": str}
        for name, field in template("ocsf").items():
            if name.startswith("unmapped."):
                continue
            first, _, rest = name.partition(".")
            annotation = profiles.get(name, profiles.get(first))
            at, parts = (model(annotation), rest.split(".")) if annotation else (ocsf.NetworkActivity, name.split("."))
            for part in parts if at else ():
                self.assertIn(part, at.model_fields, name)
                annotation = at.model_fields[part].annotation
                at = model(annotation)
            if field["type"] in ("integer", "long"):
                self.assertNotEqual(annotation, str, name)
            elif field["type"] != "date":
                self.assertNotEqual(annotation, int, name)


class DocumentTests(unittest.TestCase):
    seconds = 12

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())

    def records(self, form):
        """Of dropped packets, of this host's own, of a connection, and of a reload."""
        host, client = self.lab.host, self.lab.client
        agent = self.enterContext(Agent(host, POLICY, file_settings=f"format: {form}", name=f"agent-{form}"))
        self.addCleanup(host.flush_rules)
        agent.feed()
        client.status("curl", "--interface", client.ip4, "-m", 1, "-s", f"telnet://{host.ip4}:23")
        client.status("dig", "-b", client.ip6, "+time=1", "+tries=1", f"@{host.ip6}", "example.org")
        host.status("ping", "-c", 1, "-W", 1, client.ip4)
        client.status("nc", "-z", "-w", 5, host.ip4, 81)
        agent.tool("reload")
        kinds = ("No telnet", "No DNS", "No ping", "New Connection Initiated", "Connection Closed", "policy-changed")

        def written():
            with open(agent.events_file, encoding="utf-8") as file:
                lines = [line for line in file if line.endswith("\n")]
            return all(any(kind in line for line in lines) for kind in kinds) and lines
        lines = wait_until(written, "events of each kind", process=agent.process)
        agent.stop()
        return [json.loads(line) for line in lines]

    def test_what_an_agent_writes_fits(self):
        for form, least in (("ecs", 60), ("ocsf", 60)):
            fields, seen = template(form), set()
            for record in self.records(form):
                for name, value in values(record):
                    self.assertIn(name, fields, form)
                    self.assertTrue(fits(value, fields[name]), (form, name, value))
                    seen.add(name)
            self.assertGreater(len(seen), least, sorted(set(fields) - seen))

    def test_what_does_not_fit_is_seen(self):
        fields = template("ecs")
        for name, value in (("source.ip", "here"), ("event.start", "yesterday"), ("source.port", "80"), ("portreeve.id", 1 << 31),
                            ("rule.name", "x" * 1025)):
            try:
                self.assertFalse(fits(value, fields[name]), name)
            except ValueError:
                pass


if __name__ == "__main__":
    unittest.main(verbosity=2)

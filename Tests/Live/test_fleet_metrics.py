# SPDX-License-Identifier: GPL-3.0-or-later
"""The alert rules by promtool, and a real Prometheus that reads a real agent: every query of the dashboard and every alert's has an answer."""

import glob
import json
import os
import re
import subprocess
import unittest
import urllib.parse

import isolation

isolation.isolate()

import fleet
import services
import yaml
from agent import Agent
from lab import Lab, wait_until
from receivers import Certificates

RULES, CASES = fleet.path("prometheus", "portreeve.rules.yaml"), fleet.path("prometheus", "portreeve.rules.test.yaml")
DASHBOARD = os.path.join(fleet.ROOT, "Config", "grafana", "portreeve.json")
POLICY = """
version: 1
rules:
  - { name: Echo, action: allow, direction: incoming, protocol: tcp, destination: { ports: 7 } }
  - { name: Names, action: force-allow, direction: incoming, protocol: udp, destination: { ports: 53 } }
engine: { limits: { memory: 256MiB } }
"""
# What has no value unless something is wrong, or happens that this test does not make happen.
SILENT = {"Passed although refused", "Lost without a verdict", "Who explores this host"}


def alerts():
    return [rule for group in yaml.safe_load(fleet.text("prometheus", "portreeve.rules.yaml"))["groups"] for rule in group["rules"]]


@fleet.needs("promtool")
class AlertTests(unittest.TestCase):
    def test_each_is_raised_and_just_not(self):
        done = subprocess.run(["promtool", "test", "rules", CASES], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        cases = [case for test in yaml.safe_load(fleet.text("prometheus", "portreeve.rules.test.yaml"))["tests"]
                 for case in [(test, each) for each in test["alert_rule_test"]]]
        self.assertEqual({each["alertname"] for _, each in cases}, {rule["alert"] for rule in alerts()})
        for test, each in cases:
            # Somebody else's series of the same metric stays silent.
            label = "instance" if any("instance" in alert["exp_labels"] for alert in each["exp_alerts"]) else "job"
            raised = {alert["exp_labels"][label] for alert in each["exp_alerts"]}
            hosts = set(re.findall(rf'{label}="([^"]+)"', json.dumps(test["input_series"]).replace('\\"', '"')))
            self.assertTrue(raised and hosts - raised, each["alertname"])

    def test_the_page(self):
        for command in fleet.commands("promtool"):
            subprocess.run(["sh", "-c", command], check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(fleet.ROOT, "docs", "fleet.md"), encoding="utf-8") as file:
            listed = dict.fromkeys(re.findall(r"`(Portreeve[A-Z]\w+)`", file.read()))
        self.assertEqual(set(listed), {rule["alert"] for rule in alerts()})

    def test_each_says_what_to_do(self):
        for rule in alerts():
            with self.subTest(rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("critical", "warning", "info"))
                self.assertEqual(set(rule["annotations"]), {"summary", "do"})
                # Of one host, or of all of a job.
                self.assertRegex(rule["annotations"]["summary"], r"\$labels\.(instance|job)")


@fleet.needs("prometheus", "nginx")
class PrometheusTests(unittest.TestCase):
    seconds = 12

    @classmethod
    def setUpClass(cls):
        lab = cls.lab = cls.enterClassContext(Lab())
        agent = cls.agent = Agent(lab.host, POLICY)
        lab.file(os.path.join(agent.directory, "policy.d", "metrics.yaml"), fleet.page("metrics").replace("192.0.2.1", lab.client.ip4))
        cls.enterClassContext(agent).feed()
        certificates = Certificates(lab, "web-01.example.org", lab.host.ip4)
        places = {"/etc/ssl/portreeve/ca.pem": certificates.ca, "/etc/ssl/portreeve/host.pem": certificates.certificate,
                  "/etc/ssl/portreeve/host.key": certificates.key, "/etc/ssl/portreeve/prometheus.pem": certificates.client_certificate,
                  "/etc/ssl/portreeve/prometheus.key": certificates.client_key, "web-01.example.org": lab.host.ip4,
                  "/run/portreeve/metrics.sock": os.path.join(agent.directory, "metrics.sock")}

        def here(name):
            text = fleet.text("prometheus", name)
            for path, place in places.items():
                text = text.replace(path, place)
            return text

        proxy = lab.file("nginx.conf", "daemon off; user root; worker_processes 1; error_log stderr; "
                         f"pid {lab.directory}/nginx.pid; events {{ }} http {{ access_log off; {here('nginx.conf')} }}")
        process = lab.host.start("nginx", "-e", "stderr", "-c", proxy, name="proxy")
        wait_until(lambda: lab.host.listens(9470), "nginx listens", process=process)
        cls.url, cls.certificates = f"https://{lab.host.ip4}:9470", certificates
        folder = lab.file("prometheus")
        os.mkdir(folder)
        for name in glob.glob(fleet.path("prometheus", "*.rules.yaml")):
            lab.file(os.path.join(folder, os.path.basename(name)), fleet.text("prometheus", os.path.basename(name)))
        # As shipped, but for the interval and what is elsewhere here.
        settings = here("scrape.yaml").replace("15s", "200ms")
        lab.file(os.path.join(folder, "prometheus.yaml"), settings)
        cls.process = lab.client.start(
            "prometheus", f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data",
            "--web.listen-address=127.0.0.1:9090", name="prometheus")
        wait_until(lambda: lab.client.listens(9090), "Prometheus listens", process=cls.process)
        # A connection that stays open.
        services.echo(lab.host)
        lab.client.start("sh", "-c", f"{{ echo hello; sleep 600; }} | nc {lab.host.ip4} 7", name="open")
        # A packet that is dropped, over several scrapes, so that rates have something to say.
        wait_until(lambda: lab.client.status("nc", "-z", "-w", "1", lab.host.ip4, "81") and cls.value(
            'sum(rate(portreeve_dropped_packets_total[10s]))') > 0, "drops are seen", process=cls.process)

    @classmethod
    def ask(cls, place, **parameters):
        page = cls.lab.client.run("curl", "-sS", "-m", 20, f"http://127.0.0.1:9090/api/v1/{place}?{urllib.parse.urlencode(parameters)}")
        return json.loads(page)

    @classmethod
    def value(cls, query):
        found = cls.ask("query", query=query)["data"]["result"]
        return float(found[0]["value"][1]) if found else 0

    def test_the_dashboards_queries(self):
        with open(DASHBOARD, encoding="utf-8") as file:
            dashboard = json.load(file)
        names = self.ask("label/instance/values", **{"match[]": "portreeve_build_info"})
        self.assertEqual(names["data"], [f"{self.lab.host.ip4}:9470"])
        asked = 0
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                query = target["expr"].replace("$instance", ".*").replace("$__rate_interval", "10s")
                self.assertNotIn("$", query)
                answer = self.ask("query", query=query)
                with self.subTest(panel["title"], query=query):
                    self.assertEqual(answer["status"], "success", answer)
                    self.assertTrue(answer["data"]["result"] or panel["title"] in SILENT)
                asked += 1
        self.assertGreater(asked, 50)
        dropped = self.ask("query", query='sum by (reason) (rate(portreeve_dropped_packets_total[10s])) > 0')["data"]["result"]
        self.assertEqual([row["metric"]["reason"] for row in dropped], ["out-of-allowed-policy"])

    def test_who_has_no_certificate_gets_nothing(self):
        ca, known = ["--cacert", self.certificates.ca], ["--cert", self.certificates.client_certificate, "--key", self.certificates.client_key]

        def status(*words):
            return self.lab.client.run("curl", "-sS", "-m", 20, "-o", "/dev/null", "-w", "%{http_code}", *words)
        self.assertEqual(status(*ca, *known, f"{self.url}/metrics"), "200")
        self.assertEqual(status(*ca, *known, f"{self.url}/other"), "404")
        self.assertEqual(status(*ca, f"{self.url}/metrics"), "400")

    def test_the_alerts_ask_for_what_there_is(self):
        def evaluated():
            rules = [rule for group in self.ask("rules")["data"]["groups"] for rule in group["rules"]]
            return all(rule["health"] != "unknown" for rule in rules) and rules
        rules = wait_until(evaluated, "the rules were evaluated", process=self.process)
        self.assertEqual({(rule["name"], rule["health"]) for rule in rules}, {(rule["alert"], "ok") for rule in alerts()})
        known = set(self.ask("label/__name__/values")["data"])
        for rule in alerts():
            self.assertLessEqual(set(re.findall(r"portreeve_\w+", rule["expr"])), known, rule["alert"])
        self.assertEqual([alert for alert in self.ask("alerts")["data"]["alerts"] if alert["labels"]["severity"] != "warning"], [])

    def test_who_is_down_is_seen(self):
        """The one that matters most, on the wire: the metrics end with the agent."""
        self.agent.stop()
        self.addCleanup(self.agent.start)
        wait_until(lambda: [alert for alert in self.ask("alerts")["data"]["alerts"] if alert["labels"]["alertname"] == "PortreeveDown"],
                   "the alert is pending", process=self.process)


if __name__ == "__main__":
    unittest.main(verbosity=2)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The units: what they may do, and when they start."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

from package import path, run, text, unit, unpacked


def exposure(*drop_ins, name="portreeved.service"):
    """What `systemd-analyze security` says of a unit, from 0 to 10."""
    with tempfile.TemporaryDirectory(prefix="portreeve-unit.") as folder:
        file = shutil.copy(unit(name), folder)
        os.mkdir(file + ".d")
        for drop_in in drop_ins:
            shutil.copy(drop_in, file + ".d")
        said = run("systemd-analyze", "security", "--offline=true", "--no-pager", file)
    return float(re.search(rf"exposure level for {re.escape(name)}: ([0-9.]+)", said).group(1))


def settings(name):
    """Lines `Key=value` of a unit, as a list: systemd lets a key stand several times."""
    return [line.partition("=")[::2] for line in text(unit(name)).splitlines() if re.match(r"[A-Z]\w*=", line)]


class ExposureTests(unittest.TestCase):
    def test_below_two(self):
        self.assertLess(exposure(), 2.0)

    def test_below_one_and_a_half_without_the_network(self):
        drop_in = path("/usr/share/portreeve/local-only.conf")
        self.assertLess(exposure(drop_in), 1.5)
        self.assertLess(exposure(drop_in), exposure())


class ReflectorUnitTests(unittest.TestCase):
    def test_below_two(self):
        self.assertLess(exposure(name="portreeve-reflect.service"), 2.0)

    def test_it_is_off_until_somebody_starts_it(self):
        script = text(unpacked(), "DEBIAN/postinst")
        self.assertNotRegex(script, r"deb-systemd-invoke [^\n]*portreeve-reflect")
        # Enabled again on an upgrade only where an administrator had enabled it (deb-systemd-helper(1p)).
        self.assertIn("if deb-systemd-helper debian-installed 'portreeve-reflect.service'; then", script)
        self.assertIn(("ConditionPathExists", "/etc/portreeve/reflect.key"), settings("portreeve-reflect.service"))


class BothUnitTests(unittest.TestCase):
    def test_systemd_reads_them_without_a_complaint(self):
        with tempfile.TemporaryDirectory(prefix="portreeve-unit.") as root:
            for name in ("portreeved.service", "portreeve-rules.service", "portreeve-reflect.service"):
                with open(os.path.join(root, name), "w") as file:
                    for line in text(unit(name)).splitlines():
                        # The programs and pages lie in the package, not on this host.
                        if not line.startswith("Documentation="):
                            line = re.sub(r"^(Exec\w+=)(/usr/s?bin/portreeved?)", lambda found: found[1] + path(found[2]), line)
                            file.write(line + "\n")
                done = subprocess.run(["systemd-analyze", "verify", file.name], capture_output=True, text=True)
                self.assertEqual([line for line in done.stderr.splitlines() if "portreeve" in line], [])

    def test_they_start_before_the_network(self):
        for name in ("portreeved.service", "portreeve-rules.service"):
            values = dict(settings(name))
            self.assertIn("network-pre.target", values["Before"].split())
            self.assertIn("network-pre.target", values["Wants"].split())

    def test_dpkg_starts_the_agent_and_not_the_rules(self):
        script = text(unpacked(), "DEBIAN/postinst")
        self.assertIn("deb-systemd-invoke $_dh_action 'portreeved.service'", script)
        self.assertNotIn("deb-systemd-invoke $_dh_action 'portreeve-rules.service'", script)
        # An upgrade is one restart: nothing stops the agent before the new one is there.
        self.assertIn("_dh_action=restart", script)
        self.assertRegex(text(unpacked(), "DEBIAN/prerm"), r'"\$1" = remove \].*\n.*deb-systemd-invoke stop')


class AgentUnitTests(unittest.TestCase):
    def test_it_is_a_user_of_its_own_with_one_capability_and_another_until_its_sockets_are_open(self):
        """CAP_NET_RAW, for the raw sockets of answers; that the running agent has given it up is shown in the virtual machine."""
        values = dict(settings("portreeved.service"))
        self.assertEqual(values["User"], "portreeve")
        self.assertEqual(values["CapabilityBoundingSet"], values["AmbientCapabilities"])
        self.assertEqual(values["CapabilityBoundingSet"], "CAP_NET_ADMIN CAP_NET_RAW")

    def test_it_gives_up_by_itself_long_before_systemd_does(self):
        """Whose limit would refuse the administrator's `systemctl start` too."""
        values = dict(settings("portreeved.service"))
        self.assertEqual(values["RestartPreventExitStatus"], "69")
        self.assertGreaterEqual(int(values["StartLimitBurst"]), 30)

    def test_it_may_keep_its_policy_over_boots(self):
        values = dict(settings("portreeved.service"))
        self.assertEqual((values["StateDirectory"], values["StateDirectoryMode"]), ("portreeve", "0750"))

    def test_a_restart_keeps_queues_and_state(self):
        values = dict(settings("portreeved.service"))
        self.assertEqual((values["Type"], values["RuntimeDirectoryPreserve"]), ("notify", "restart"))
        self.assertGreaterEqual(int(values["FileDescriptorStoreMax"]), 4 * 64)


class DropInTests(unittest.TestCase):
    def test_it_is_not_in_force_as_shipped(self):
        for folder, _, names in os.walk(path("/")):
            self.assertNotIn("local-only.conf", names if ".service.d" in folder else [])

# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in the package, and whether it agrees with what the programs say of themselves."""

import glob
import gzip
import json
import os
import re
import subprocess
import tempfile
import unittest

from package import BUILT, REPOSITORY, deb, field, path, run, text, unpacked, version

TOOL, AGENT = "/usr/bin/portreeve", "/usr/sbin/portreeved"


def subcommands():
    command = json.loads(run(path(TOOL), "--experimental-dump-help"))["command"]
    return [each for each in command["subcommands"] if each["shouldDisplay"] and each["commandName"] != "help"]


def long_options(command):
    return {name["name"] for argument in command["arguments"] if argument["shouldDisplay"]
            for name in argument.get("names", []) if name["kind"] == "long"}


def settings(schema, section=""):
    """Full names of all keys below a mapping of the policy's schema."""
    for key, value in schema.get("properties", {}).items():
        yield section + key
        for inner in [value, *value.get("anyOf", [])]:
            yield from settings(inner, f"{section}{key}.")


def page(name, section):
    with gzip.open(path(f"/usr/share/man/man{section}/{name}.{section}.gz"), "rt") as file:
        return file.read()


class VersionTests(unittest.TestCase):
    def test_one_version_everywhere(self):
        self.assertEqual(run("dpkg-parsechangelog", "-l", f"{REPOSITORY}/Packaging/debian/changelog", "-S", "Version").strip(),
                         version())
        self.assertEqual(field("Version"), version())
        for program in (TOOL, AGENT):
            self.assertEqual(run(path(program), "--version").strip(), version())
        for named in re.findall(r"portreeve_([0-9][^_]*)_", text(REPOSITORY, "README.md")):
            self.assertEqual(named, version())


class ProgramTests(unittest.TestCase):
    def test_nothing_of_swift_is_needed_and_symbols_are_apart(self):
        for program in (TOOL, AGENT):
            sections = run("readelf", "-SW", path(program))
            self.assertNotIn(".symtab", sections)
            self.assertNotIn(".debug_info", sections)
            self.assertNotIn("swift", run("readelf", "-d", path(program)).lower())
            identity = re.search(r"Build ID: ([0-9a-f]+)", run("readelf", "-n", path(program))).group(1)
            symbols = run("dpkg-deb", "-c", glob.glob(f"{BUILT}/portreeve-dbgsym_*.deb")[0])
            self.assertIn(f"{identity[:2]}/{identity[2:]}.debug", symbols)

    def test_no_path_of_the_build_stays(self):
        for program in (TOOL, AGENT):
            with open(path(program), "rb") as file:
                self.assertFalse(REPOSITORY.encode() in file.read(), program)

    def test_libraries_are_declared(self):
        for library in ("libc6", "libmnl0", "libnetfilter-queue1", "libyaml-0-2", "libssl3", "iptables"):
            self.assertIn(library, field("Depends"))


class PolicyTests(unittest.TestCase):
    def test_conffiles(self):
        configuration = set(text(unpacked(), "DEBIAN/conffiles").split())
        shipped = {os.path.join(folder, name).removeprefix(unpacked())
                   for folder, _, names in os.walk(path("/etc")) for name in names}
        self.assertEqual(configuration, shipped)
        self.assertIn("/etc/portreeve/policy.yaml", configuration)
        self.assertTrue(any(name.startswith("/etc/portreeve/examples/") for name in configuration))
        self.assertTrue(os.path.isdir(path("/etc/portreeve/policy.d")))

    def test_every_policy_in_it_is_good(self):
        for name in [path("/etc/portreeve/policy.yaml"), *glob.glob(path("/etc/portreeve/examples/*.yaml"))]:
            run(path(TOOL), "check", name)

    def test_every_plan_in_it_is_good(self):
        plans = glob.glob(path("/etc/portreeve/examples/plans/*.yaml"))
        self.assertGreater(len(plans), 2)
        for name in plans:
            self.assertRegex(run(path(TOOL), "scan", "--dry-run", "--plan", name), r"probes, at most")

    def test_the_schemas_are_those_of_the_tool(self):
        self.assertEqual(text(path("/usr/share/portreeve/policy.schema.json")), run(path(TOOL), "schema"))
        self.assertEqual(text(path("/usr/share/portreeve/events.schema.json")), run(path(TOOL), "schema", "--events"))


class BanTests(unittest.TestCase):
    def test_what_fail2ban_and_crowdsec_call_is_there(self):
        self.assertIn("actionban = ", text(path("/etc/fail2ban/action.d/portreeve.conf")))
        self.assertTrue(os.access(path("/usr/lib/portreeve/crowdsec-bouncer"), os.X_OK))
        run("sh", "-n", path("/usr/lib/portreeve/crowdsec-bouncer"))


class DashboardTests(unittest.TestCase):
    def test_grafanas_dashboard_is_there_and_asks_for_our_metrics(self):
        dashboard = json.loads(text(path("/usr/share/portreeve/grafana-dashboard.json")))
        self.assertEqual(dashboard["title"], "Portreeve")
        self.assertIn("portreeve_build_info", json.dumps(dashboard))


class FleetTests(unittest.TestCase):
    def test_every_file_for_a_fleet_is_there_as_it_is_tested(self):
        def files(root):
            return {os.path.relpath(os.path.join(folder, name), root): text(folder, name)
                    for folder, _, names in os.walk(root) for name in names}
        ours = files(os.path.join(REPOSITORY, "Config", "fleet"))
        self.assertGreater(len(ours), 15)
        self.assertEqual(files(path("/usr/share/portreeve/fleet")), ours)


class PageTests(unittest.TestCase):
    def pages(self):
        return sorted(glob.glob(path("/usr/share/man/man?/*.gz")))

    def test_each_program_and_subcommand_has_one(self):
        expected = {"portreeved.8", "portreeve.8", "portreeve-policy.5", "portreeve-event-record.5"}
        expected |= {f"portreeve-{each['commandName']}.8" for each in subcommands()}
        self.assertEqual({os.path.basename(name).removesuffix(".gz") for name in self.pages()}, expected)

    def test_they_render_without_a_warning(self):
        for name in self.pages():
            done = subprocess.run(
                ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", name], capture_output=True, text=True,
                env=dict(os.environ, LC_ALL="C.UTF-8", MANROFFSEQ="", MANWIDTH="80"))
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            run("lexgrog", name)
            with gzip.open(name) as file:
                lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=file.read(), capture_output=True)
            self.assertEqual(lint.stdout.decode(), "", name)

    def test_each_option_is_in_its_page(self):
        for command in subcommands():
            written = page(f"portreeve-{command['commandName']}", 8).replace("\\-", "-")
            for option in long_options(command):
                self.assertIn(f"\\fB--{option}\\fR", written, command["commandName"])

    def test_each_kind_of_result_is_in_the_page_of_scan(self):
        written = page("portreeve-scan", 8).replace("\\-", "-")
        for row in map(json.loads, run(path(TOOL), "scan", "--categories", "--json").splitlines()):
            self.assertIn(f"\\fB{row['category']}\\fR {row['detail']}", written)

    def test_each_setting_is_in_the_page_of_the_policy(self):
        schema = json.loads(run(path(TOOL), "schema"))
        written = page("portreeve-policy", 5).replace("\\-", "-")
        found = 0
        for name in settings(schema):
            if name.partition(".")[0] in ("version", "lists", "schedules", "rules"):
                continue
            values = schema
            for key in name.split("."):
                inner = [values, *values.get("anyOf", [])]
                values = next(each["properties"][key] for each in inner if key in each.get("properties", {}))
            if "properties" not in values:
                self.assertTrue(self.is_told(name, written), name)
                found += 1
        self.assertGreater(found, 90)
        for key in schema["properties"]["rules"]["items"]["properties"]:
            self.assertIn(f"\\fB{key}\\fR", written)

    def is_told(self, name, written):
        """It has an entry of its own, or its key stands in that of the mapping which it is in."""
        whole, separator, key = name, True, ""
        while separator:
            entry = written.partition(f"\\fB{whole}\\fR\n")[2].partition("\n.TP")[0]
            if entry:
                return whole == name or re.search(rf"(?<![\w-]){re.escape(key)}(?![\w-])", entry) is not None
            whole, separator, last = whole.rpartition(".")
            key = key or last
        return False

    def test_each_reason_is_in_the_page_of_reasons(self):
        written = page("portreeve-reasons", 8).replace("\\-", "-")
        for line in run(path(TOOL), "reasons", "--json").splitlines():
            self.assertIn(f"\\fB{json.loads(line)['reason']}\\fR", written)


class CompletionTests(unittest.TestCase):
    FILES = {"bash": "/usr/share/bash-completion/completions/{}", "zsh": "/usr/share/zsh/vendor-completions/_{}",
             "fish": "/usr/share/fish/vendor_completions.d/{}.fish"}

    def test_each_shell_reads_them(self):
        for shell, place in self.FILES.items():
            for program in ("portreeve", "portreeved"):
                run(shell, "-n", path(place.format(program)))

    def bash(self, *words):
        """What it offers for the last word."""
        script = f"""
            source {path(self.FILES['bash'].format('portreeve'))}
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${{#COMP_LINE}}
            $(complete -p portreeve | sed 's/.*-F \\([^ ]*\\).*/\\1/') portreeve "${{@: -1}}" "${{@: -2:1}}"
            printf '%s\\n' "${{COMPREPLY[@]}}" """
        return run("bash", "-c", script, "bash", "portreeve", *words, env=self.environment()).splitlines()

    def fish(self, line):
        script = f"source {path(self.FILES['fish'].format('portreeve'))}; complete -C 'portreeve {line}'"
        return [line.partition("\t")[0] for line in run("fish", "-c", script, env=self.environment()).splitlines()]

    def environment(self):
        return dict(os.environ, PATH=f"{os.path.dirname(path(TOOL))}:{os.environ['PATH']}")

    def test_bash_completes_subcommands(self):
        offered = self.bash("")
        for command in subcommands():
            self.assertIn(command["commandName"], offered)

    def test_states_reasons_and_files_are_completed(self):
        self.assertEqual(self.bash("connections", "--state", "EST"), ["ESTABLISHED"])
        self.assertEqual(self.fish("connections --state EST"), ["ESTABLISHED"])
        self.assertIn("out-of-connection", self.bash("events", "--reason", "out-of-c"))
        self.assertIn("out-of-connection", self.bash("reasons", "out-of-c"))
        examples = path("/etc/portreeve/examples")
        self.assertIn(f"{examples}/web-server.yaml", self.bash("check", f"{examples}/web"))

    def test_names_of_rules_are_completed_and_run_no_command(self):
        """A policy is written by those who may not be the ones who press Tab."""
        with tempfile.TemporaryDirectory(prefix="portreeve-completion.") as folder:
            hostile = f"$(touch {folder}/a)`touch {folder}/b`"
            with open(f"{folder}/policy.yaml", "w") as file:
                file.write("version: 1\nrules:\n" + "".join(
                    f"  - {{ name: {json.dumps(name)}, action: deny, direction: incoming }}\n" for name in ("No telnet", hostile)))
            offered = self.bash("events", "--policy", f"{folder}/policy.yaml", "--rule", "")
            self.assertIn("No\\ telnet", offered)
            self.assertEqual(os.listdir(folder), ["policy.yaml"])


class LintTests(unittest.TestCase):
    def test_lintian_has_nothing_to_say(self):
        """Each override in Packaging/debian has its reason beside it."""
        done = subprocess.run(
            ["lintian", "--fail-on", "error,warning", *(["--allow-root"] if os.geteuid() == 0 else []), deb()],
            capture_output=True, text=True)
        self.assertEqual((done.returncode, [line for line in done.stdout.splitlines() if line[:2] in ("E:", "W:")]), (0, []))
        for block in text(REPOSITORY, "Packaging/debian/portreeve.lintian-overrides").split("\n\n"):
            self.assertTrue(block.startswith("#"), block)

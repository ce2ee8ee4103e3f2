# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual pages say what the programs have."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

from agent import binaries

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class ManualTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="portreeve-manual.")
        cls.addClassCleanup(directory.cleanup)
        cls.folder = directory.name
        subprocess.run(
            [sys.executable, "-B", os.path.join(REPOSITORY, "Packaging", "man", "generate.py"), "--bin", binaries(), "--to",
             cls.folder], check=True, timeout=120)

    def page(self, name):
        """Its text, with what roff escapes as it is read."""
        with open(os.path.join(self.folder, name)) as file:
            text = file.read()
        for escaped, plain in (("\\-", "-"), ("\\(aq", "'"), ("\\(ga", "`"), ("\\(ha", "^"), ("\\(ti", "~"), ("\\fB", ""),
                               ("\\fI", ""), ("\\fR", ""), ("\\&", ""), ("\\e", "\\")):
            text = text.replace(escaped, plain)
        return text

    def tool(self, *words):
        return subprocess.run(
            [os.path.join(binaries(), "portreeve"), *words], capture_output=True, text=True, check=True, timeout=60).stdout

    def test_every_setting_has_its_values_and_default(self):
        page = self.page("portreeve-policy.5")
        settings = dict(re.findall(r"\.TP\n([\w.-]+)\n((?:(?!\.TP|\.SH).*\n)+)", page[page.index(".SH SETTINGS"):]))
        complete = {}
        path = []
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("version: 1\n")
            file.flush()
            canonical = self.tool("check", file.name, "--print", "--complete")
        for line in canonical.splitlines()[1:]:
            indent, key, value = re.fullmatch(r"( *)([\w-]+):(?: (.*))?", line).groups()
            path = [*path[:len(indent) // 2], key]
            if value is not None:
                complete[".".join(path)] = value.replace('"', "")
        self.assertGreater(len(complete), 60)
        for name, default in complete.items():
            with self.subTest(name):
                self.assertIn(name, settings)
                self.assertIn(f"Default: {default}.", settings[name])
                self.assertRegex(settings[name], r"(Values: .{5,}|For now )")
        self.assertIn("Values: a time with its unit (us, ms, s, m, h or d), 1s to 30d. Default: 3h.",
                      settings["engine.timeouts.established"])
        self.assertIn("normal: allow; strict: deny", settings["engine.anti-evasion.urgent-flags"])

    def test_every_reason_is_described(self):
        page = self.page("portreeve-reasons.8")
        for row in map(json.loads, self.tool("reasons", "--json").splitlines()):
            self.assertIn(f"{row['id']} {row['reason']}\n", page)


class PagesTests(unittest.TestCase):
    """What docs/ says is what the programs say, and what the code cites is there."""

    def test_their_tables_are_those_of_the_programs(self):
        folder = os.path.join(REPOSITORY, "Packaging", "man")
        sys.path.insert(0, folder)
        self.addCleanup(sys.path.remove, folder)
        import tables
        for path, text in tables.pages(os.path.join(binaries(), "portreeve")).items():
            with self.subTest(path), open(path) as file:
                self.assertEqual(file.read(), text, "python3 Packaging/man/tables.py --bin FOLDER writes it anew")

    def test_what_the_code_cites_is_there(self):
        cited = set()
        for folder, _, names in os.walk(os.path.join(REPOSITORY, "Sources")):
            for name in names:
                with open(os.path.join(folder, name), errors="replace") as file:
                    cited |= {(name, *each) for each in re.findall(r"\b(docs/[\w-]+\.md)(?: (\d+)(?:\.(\d+))?)?", file.read())}
        self.assertGreater(len(cited), 8)
        for name, page, section, item in sorted(cited):
            with self.subTest(name=name, page=page, section=section):
                with open(os.path.join(REPOSITORY, page)) as file:
                    parts = re.split(r"^## ", file.read(), flags=re.MULTILINE)
                if section:
                    part = next(each for each in parts if each.startswith(f"{section}. "))
                    self.assertTrue(not item or re.search(rf"^{item}\. ", part, re.MULTILINE))

    def test_their_links_lead_somewhere(self):
        pages = ["README.md", "ARCHITECTURE.md", *(f"docs/{name}" for name in os.listdir(os.path.join(REPOSITORY, "docs"))
                                                   if name.endswith(".md"))]
        for page in pages:
            with open(os.path.join(REPOSITORY, page)) as file:
                targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read())
            for target in targets:
                with self.subTest(page=page, target=target):
                    self.assertTrue(os.path.exists(os.path.join(REPOSITORY, os.path.dirname(page), target)))


if __name__ == "__main__":
    unittest.main(verbosity=2)

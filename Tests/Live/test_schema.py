# SPDX-License-Identifier: GPL-3.0-or-later
"""`portreeve schema`: an editor that checks by it accepts what the parser accepts, and marks what is wrong by itself."""

import glob
import json
import os
import re
import subprocess
import unittest

import jsonschema
import yaml

from agent import binaries

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
POLICIES = os.path.join(REPOSITORY, "Tests", "Fixtures", "policies")


class Loader(yaml.SafeLoader):
    """Plain words as Portreeve reads them: `true` and `false` are booleans, `off` is a word, and so is a date."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("int", "null", "merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), list("tf"))
# 22:30 is a word, not a number to the base of sixty.
Loader.yaml_implicit_resolvers = {
    first: [(tag, re.compile("[-+]?(0|[1-9][0-9]*)$") if tag.endswith(":int") else pattern) for tag, pattern in resolvers]
    for first, resolvers in Loader.yaml_implicit_resolvers.items()}


class SchemaTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = json.loads(subprocess.check_output([os.path.join(binaries(), "portreeve"), "schema"]))
        cls.validator = jsonschema.Draft202012Validator(cls.schema)

    def accepts(self, path):
        """Whether an editor would mark nothing; None where the file is no YAML, which it marks by itself."""
        with open(path, "rb") as file:
            try:
                policy = yaml.load(file, Loader)
            except (yaml.YAMLError, UnicodeError, ValueError, RecursionError):
                return None
        return self.validator.is_valid(policy)

    def test_that_of_the_events_is_one_too(self):
        schema = json.loads(subprocess.check_output([os.path.join(binaries(), "portreeve"), "schema", "--events"]))
        jsonschema.Draft202012Validator.check_schema(schema)
        self.assertEqual(list(without_description(schema, "$")), [])

    def test_it_is_a_schema(self):
        jsonschema.Draft202012Validator.check_schema(self.schema)

    def test_it_accepts_what_is_accepted(self):
        paths = sorted(
            glob.glob(f"{POLICIES}/accepted/*.yaml") + glob.glob(f"{POLICIES}/accepted/*/**/*.yaml", recursive=True)
            + glob.glob(f"{REPOSITORY}/Config/**/*.yaml", recursive=True))
        self.assertGreater(len(paths), 60)
        for path in paths:
            with self.subTest(os.path.relpath(path, REPOSITORY)):
                with open(path, "rb") as file:
                    errors = list(self.validator.iter_errors(yaml.load(file, Loader)))
                self.assertEqual([f"{error.json_path}: {error.message}"[:300] for error in errors], [])

    def test_it_refuses_what_is_wrong_by_itself(self):
        """All refused policies but those listed, which are wrong only by what several values say together, by what is
        outside the file, or by the text of a value."""
        accepted = set()
        for path in sorted(glob.glob(f"{POLICIES}/refused/*.yaml")):
            if self.accepts(path):
                accepted.add(os.path.basename(path)[:3])
        self.assertEqual(accepted, BEYOND)


def without_description(schema, path):
    """Paths of the keys that nothing is said of."""
    for name, value in schema.get("properties", {}).items():
        if "description" not in value:
            yield f"{path}.{name}"
        yield from without_description(value, f"{path}.{name}")


# Numbers of the fixtures that only the parser can refuse.
BEYOND = {
    "016", "036",  # a key twice
    "024",  # numbers inside a text
    "026", "027", "028", "049", "051", "052", "053", "055", "059", "060", "061", "088", "089",  # values that exclude each other
    "029", "090",  # settings that are not available in this version
    "031", "037", "040", "076",  # what a path, an address or a hardware address is
    "042", "043",  # the lines of a list file
    "083",  # the range of a port inside a text
    "048", "062", "078",  # names, and how many there are in all rules
}


if __name__ == "__main__":
    unittest.main(verbosity=2)

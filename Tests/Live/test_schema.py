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


def as_words(file):
    """As Portreeve reads it."""
    return yaml.load(file, Loader)


def as_yaml_1_1(file):
    """As PyYAML and many editors read it: `off` is the boolean false."""
    return yaml.safe_load(file)


# What is wrong in a line of the refused policies and only the parser can know, by the number of the policy.
PARSER_ONLY = {
    "a reader of YAML keeps only one of two equal keys": {"016": [3, 8, 9], "036": [2]},
    "the bytes, not the text": {"013": [2]},
    "each receiver once": {"111": [5]},
    "two values of one text, put together": {"037": [3], "038": [19, 20, 21, 24], "064": [16]},
    "how a number is written": {"080": [12]},
    "another file may say what makes it right": {
        "026": [2], "027": [3], "028": [2], "044": [4], "058": [3, 4, 5, 6], "059": [3, 4, 5], "088": [2], "089": [4]},
    "what other files hold, and the host": {"041": [3], "043": [3], "044": [8]},
    "which names there are, and what they stand for": {
        "038": [22], "060": [8, 9, 10, 13, 14, 15, 16], "062": [7, 8, 9, 10, 11, 12], "063": [4, 6], "080": [7],
        "091": [5, 6, 7, 8, 10], "092": [34], "095": [3, 5]},
    "what other settings say": {"096": [2], "098": [6], "110": [5], "113": [4, 6], "122": [4], "124": [5]},
    "which days a month has": {"121": [4]},
    "how many there may be": {"099": [3], "123": [11]},
    "what all rules say together": {"048": [5, 6], "051": [12, 14, 15], "078": [66]},
}
# Lists and schedules that are called yes, no, on and off: for YAML 1.1 their keys are booleans, which no schema can name.
NOT_IN_YAML_1_1 = {"053-words-of-yaml-1-1-are-words.yaml"}


class SchemaTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = json.loads(subprocess.check_output([os.path.join(binaries(), "portreeve"), "schema"]))
        cls.validator = jsonschema.Draft202012Validator(cls.schema)

    def complaints(self, policy):
        return [f"{error.json_path}: {error.message}"[:300] for error in self.validator.iter_errors(policy)]

    def test_that_of_the_events_is_one_too(self):
        schema = json.loads(subprocess.check_output([os.path.join(binaries(), "portreeve"), "schema", "--events"]))
        jsonschema.Draft202012Validator.check_schema(schema)
        self.assertEqual(list(without_description(schema, "$")), [])

    def test_it_is_a_schema(self):
        jsonschema.Draft202012Validator.check_schema(self.schema)

    def test_it_accepts_what_is_accepted(self):
        paths = sorted(
            glob.glob(f"{POLICIES}/accepted/*.yaml") + glob.glob(f"{POLICIES}/accepted/*/**/*.yaml", recursive=True))
        self.assertGreater(len(paths), 60)
        for load in (as_words, as_yaml_1_1):
            for path in paths:
                if load is as_yaml_1_1 and os.path.basename(path) in NOT_IN_YAML_1_1:
                    continue
                with self.subTest(load.__doc__, path=os.path.relpath(path, REPOSITORY)), open(path, "rb") as file:
                    self.assertEqual(self.complaints(load(file)), [])

    def test_it_accepts_what_is_shipped_whoever_reads_it(self):
        paths = [
            path for path in glob.glob(f"{REPOSITORY}/Config/**/*.yaml", recursive=True)
            if not path.startswith((f"{REPOSITORY}/Config/examples/plans/", f"{REPOSITORY}/Config/fleet/"))]  # no policies
        self.assertGreater(len(paths), 5)
        for load in (as_words, as_yaml_1_1):
            for path in paths:
                with self.subTest(load.__doc__, path=os.path.relpath(path, REPOSITORY)), open(path, "rb") as file:
                    self.assertEqual(self.complaints(load(file)), [])

    def test_it_refuses_what_one_file_can_be_told_to_be_wrong(self):
        """Each line of the refused policies in which the parser finds an error, without the other such lines."""
        left, lines = {}, 0
        for path in sorted(glob.glob(f"{POLICIES}/refused/*.yaml")):
            with open(path, errors="replace") as file:
                text = file.read().split("\n")
            with open(f"{path[:-5]}.err") as file:
                wrong = {int(number) for number in re.findall(r"(?m)^\S+\.yaml:(\d+):\d+: error: ", file.read())}
            for number in sorted(wrong):
                lines += 1
                variant = [line for place, line in enumerate(text, 1) if place == number or place not in wrong]
                try:
                    policy = as_words("\n".join(variant))
                except (yaml.YAMLError, UnicodeError, ValueError, RecursionError):
                    # An editor marks by itself what is no YAML.
                    continue
                if self.validator.is_valid(policy):
                    left.setdefault(os.path.basename(path)[:3], []).append(number)
        expected = {}
        for policies in PARSER_ONLY.values():
            for policy, numbers in policies.items():
                expected[policy] = sorted(expected.get(policy, []) + numbers)
        self.assertEqual(left, expected)
        count = sum(map(len, left.values()))
        print(f"{lines - count} of {lines} lines are refused by the schema, {count} by the parser only", flush=True)
        self.assertGreater(lines, 300)


def without_description(schema, path):
    """Paths of the keys that nothing is said of."""
    for name, value in schema.get("properties", {}).items():
        if "description" not in value:
            yield f"{path}.{name}"
        yield from without_description(value, f"{path}.{name}")


if __name__ == "__main__":
    unittest.main(verbosity=2)

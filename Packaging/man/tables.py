#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what the pages of docs/ take from the programs: the table of reasons, and that of the policy's settings.

Each stands between two comments that name it; the rest of a page is written by hand.
"""

import argparse
import json
import os
import re
import subprocess
import sys

import generate

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs")


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def table(heads, rows):
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return "\n".join(lines + [f"| {' | '.join(cell(each) for each in row)} |" for row in rows])


def reasons(tool):
    """Number, name, when it is raised, what can decide for it, where it is seen, what to do."""
    rows = []
    for line in generate.ask(tool, "reasons", "--json").splitlines():
        row = json.loads(line)
        settings = list(dict.fromkeys(f"`{each['setting']}`" for each in row["causes"] if each["setting"]))
        raised = row["raised_when"] if row["available"] else f"*not in this version:* {row['raised_when']}"
        rows.append([str(row["id"]), f"`{row['reason']}` {row['name']}", row["stage"], raised, ", ".join(settings) or "–",
                     row["seen"], row["advice"] or "–"])
    return table(["id", "reason", "stage", "raised when", "settings that decide", "seen", "advice"], rows)


def settings(tool):
    """Name, values, default and meaning of each setting outside rules, lists and schedules."""
    rows = []
    for name, value in generate.settings(json.loads(generate.ask(tool, "schema"))):
        rows.append([f"`{name}`", generate.value_text(value) or "–", generate.default_text(value) if "default" in value else "–",
                     value["description"]])
    return table(["setting", "values", "default", "meaning"], rows)


def pages(tool):
    """What each page should be: {path: text}."""
    made = {}
    for name, text in (("reasons.md", reasons(tool)), ("policy.md", settings(tool))):
        path = os.path.normpath(os.path.join(FOLDER, name))
        with open(path) as file:
            page = file.read()
        made[path] = re.sub(r"(<!-- table -->\n).*(<!-- end -->)", lambda match: f"{match[1]}\n{text}\n\n{match[2]}", page,
                            flags=re.DOTALL)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="the folder of the programs")
    for path, text in pages(os.path.join(parser.parse_args().bin, "portreeve")).items():
        with open(path, "w") as file:
            file.write(text)
        print(path, file=sys.stderr)


if __name__ == "__main__":
    main()

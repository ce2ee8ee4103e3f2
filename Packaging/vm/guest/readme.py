# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of README.md, copied as an administrator would.

A block of the page stands under a comment that names it, `<!-- vm: NAME -->`. Its lines that begin with "# " are commands
for root's shell, in the directory where the package lies; each other line is one that the command before it prints.
"""

import os
import re

from step import check, contains, status

HERE = os.path.dirname(os.path.abspath(__file__))
FILE = r"<!-- live: {} -->\n```\w*\n(.*?\n)```"
BLOCK = re.compile(r"<!-- vm: (\S+) -->\n```\w*\n(.*?)\n```", re.DOTALL)


def commands(name):
    """[(command, lines that it prints)] of a block."""
    with open(os.path.join(HERE, "README.md")) as file:
        blocks = dict(BLOCK.findall(file.read()))
    check(name in blocks, f"README.md has no block {name}: {sorted(blocks)}")
    given = []
    for line in blocks[name].splitlines():
        if line.startswith("# "):
            given.append((line[2:], []))
        elif line != "...":
            given[-1][1].append(line)
    check(given, f"the block {name} of README.md has no command")
    return given


def put(name, path):
    """Writes the file that the page shows in a block, which the live tests use too, where the page says."""
    with open(os.path.join(HERE, "README.md")) as file:
        found = re.search(FILE.format(name), file.read(), re.DOTALL)
    check(found, f"README.md shows no file {name}")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(found[1])
    return path


def inline(program):
    """The command line of `program` that stands in the page's text."""
    with open(os.path.join(HERE, "README.md")) as file:
        found = re.search(rf"`({program} [^`]+)`", file.read())
    check(found, f"README.md has no command line of {program}")
    return found[1]


def follow(name, statuses=(0,)):
    """Runs the commands of a block one by one, answering "y"; returns what they print. Each has to end with one of the statuses."""
    pages = []
    for command, lines in commands(name):
        code, page = status("sh", "-c", command, input="y\n", seconds=200, cwd=HERE)
        check(code in statuses, f"{command}: status {code}\n{page}")
        for line in lines:
            contains(page, line, f"README's output of {command}")
        pages.append(page)
    return "".join(pages)

# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of a fleet share: the files that are shipped for it, and the Python packages that read them."""

import os
import re
import shutil
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILES = os.path.join(ROOT, "Config", "fleet")
PACKAGES = os.path.join(ROOT, ".build", "python")
sys.path.append(PACKAGES)


def path(*names):
    """A shipped file."""
    return os.path.join(FILES, *names)


def text(*names):
    with open(path(*names), encoding="utf-8") as file:
        return file.read()


def needs(*programs):
    """Skips a class where a program is missing."""
    missing = [program for program in programs if not shutil.which(program)]
    return unittest.skipIf(missing, f"{', '.join(missing)} missing: make deps-lab")


def page(name):
    """A block of docs/fleet.md, which stands under a comment that names it."""
    with open(os.path.join(ROOT, "docs", "fleet.md"), encoding="utf-8") as file:
        return re.search(rf"<!-- live: {name} -->\n```\w*\n(.*?\n)```", file.read(), re.DOTALL)[1]


def commands(name):
    """The commands of such a block, with the files where they are in the source."""
    lines = page(name).replace("\\\n", " ").replace("/usr/share/portreeve/fleet", FILES).splitlines()
    return [line[2:] for line in lines if line.startswith("# ")]

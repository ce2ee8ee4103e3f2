# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands at the head of a result that is kept in the repository."""

import os
import platform
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def head(command, began, seconds, programs=None):
    """By what, when, from what source and on what it was made."""
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout.strip()
    build = f"a {'debug' if 'debug' in programs else 'release'} build on " if programs else ""
    return f"`{command}`, {began:%Y-%m-%d}, {commit}, {build}Linux {platform.release()}, {seconds} seconds"

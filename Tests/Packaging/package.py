# SPDX-License-Identifier: GPL-3.0-or-later
"""The package that is looked at, unpacked once for all tests."""

import atexit
import functools
import glob
import os
import re
import subprocess
import tempfile

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILT = os.path.join(REPOSITORY, ".build", "deb")


def run(*words, **options):
    """What a command prints; an error of the test if it fails."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, **options)
    if done.returncode:
        raise AssertionError(f"{' '.join(words)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def text(*path):
    with open(os.path.join(*path)) as file:
        return file.read()


@functools.cache
def version():
    """Of agent and tool: the one that everything else must agree with."""
    return re.search(r'version = "([^"]+)"', text(REPOSITORY, "Sources/FirewallEngine/Release.swift")).group(1)


@functools.cache
def deb():
    found = glob.glob(f"{BUILT}/portreeve_{version()}_*.deb")
    if len(found) != 1:
        raise AssertionError(f"{BUILT} holds no package of version {version()}: make deb")
    return found[0]


@functools.cache
def unpacked():
    directory = tempfile.TemporaryDirectory(prefix="portreeve-deb.")
    atexit.register(directory.cleanup)
    run("dpkg-deb", "-R", deb(), directory.name)
    return directory.name


def path(name):
    """A file of the package, by its name on a host."""
    return os.path.join(unpacked(), name.lstrip("/"))


def field(name):
    return run("dpkg-deb", "-f", deb(), name).strip()


def unit(name):
    """systemd's units lie in /lib or /usr/lib, as the Debian release has it."""
    return next(found for found in (path("/lib/systemd/system/" + name), path("/usr/lib/systemd/system/" + name))
                if os.path.exists(found))

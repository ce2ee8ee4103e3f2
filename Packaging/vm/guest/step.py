# SPDX-License-Identifier: GPL-3.0-or-later
"""What a step is, and the words its checks are made of."""

import subprocess
import time

ALL = []


class Failed(Exception):
    """A check did not hold."""


class Skip(Exception):
    """The step cannot be taken here."""


class Step:
    def __init__(self, name, function, seconds, always, reboots, variant):
        self.name, self.function, self.seconds = name, function, seconds
        self.always, self.reboots, self.variant = always, reboots, variant


def step(name, seconds=180, always=False, reboots=False, variant=False):
    """Makes a function a step. What it returns stands in the table. `always`: whatever steps are asked for. `variant`: what another
    step does under other settings; a short run leaves it out."""
    def register(function):
        ALL.append(Step(name, function, seconds, always, reboots, variant))
        return function
    return register


def status(*command, seconds=90, input=None, env=None, cwd=None):
    """Runs a command; returns (exit status, what it printed on both outputs)."""
    try:
        done = subprocess.run(
            [str(word) for word in command], input=input, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", timeout=seconds, env=env, cwd=cwd, stdin=subprocess.DEVNULL if input is None else None)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{' '.join(map(str, command))}: not done after {seconds} s\n{(late.stdout or b'').decode()}") from None
    return done.returncode, done.stdout


def run(*command, **options):
    """The same; returns the output of a command that must succeed."""
    code, output = status(*command, **options)
    if code:
        raise Failed(f"{' '.join(map(str, command))}: status {code}\n{output}")
    return output


def sh(script, **options):
    return run("sh", "-euc", script, **options)


def refused(*command, **options):
    """The output of a command that must fail."""
    code, output = status(*command, **options)
    if code == 0:
        raise Failed(f"{' '.join(map(str, command))}: succeeded\n{output}")
    return output


def check(condition, what):
    if not condition:
        raise Failed(what)


def equal(found, expected, what):
    if found != expected:
        raise Failed(f"{what}: {found!r}, expected {expected!r}")


def contains(text, part, what):
    if part not in text:
        raise Failed(f"{what}: no {part!r} in\n{text}")


def wait_until(condition, what, seconds=20.0):
    """Asks ten times a second; returns the first answer that is true."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Failed(f"after {seconds:g} s: {what}")
        time.sleep(0.1)

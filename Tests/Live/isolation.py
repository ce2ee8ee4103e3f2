# SPDX-License-Identifier: GPL-3.0-or-later
"""A place of our own: network, mounts and processes that end with the program, whatever ends it."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys

MARK = "PORTREEVE_LAB"
CALLER = "PORTREEVE_LAB_CALLER"


class Unavailable(Exception):
    """This machine cannot carry the lab; says why."""


def isolate():
    """Runs the whole program again inside new network, mount and process namespaces; call it before anything else.

    As root directly, otherwise in a user namespace whose root the caller is. /run is empty there, so that `ip netns`
    can write, no lock or socket is shared with the host, and files of the lab are in memory. The program becomes the
    first process of the process namespace: when it ends, also by SIGKILL, everything it started ends, and with it the
    network namespaces and the files. What was started first waits for it and passes on its exit status.
    """
    if os.environ.get(MARK):
        return
    if not shutil.which("unshare"):
        raise Unavailable("unshare (util-linux) is missing")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *user, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    probe = subprocess.run([*command, "true"], capture_output=True, text=True)
    if probe.returncode:
        raise Unavailable(f"namespaces cannot be made here: {probe.stderr.strip()}")
    prepare = "mount -n -t tmpfs tmpfs /run && mkdir -p /run/netns /run/sshd /run/lock && ip link set lo up && exec \"$@\""
    environment = {
        **os.environ, MARK: "1", CALLER: f"{os.getuid()}:{os.getgid()}", "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    inside = subprocess.Popen(
        [*command, "sh", "-c", prepare, "sh", *sys.orig_argv], env=environment, preexec_fn=end_with_parent)
    # SIGINT reaches the whole foreground group by itself; unshare lets no SIGTERM through.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: inside.kill())
    status = inside.wait()
    sys.exit(status if status >= 0 else 128 - status)


@contextlib.contextmanager
def left_out():
    """Lets modules that isolate themselves be imported without it, to see what is in them."""
    os.environ[MARK] = "left out"
    try:
        yield
    finally:
        del os.environ[MARK]


def end_with_parent():
    """prctl(PR_SET_PDEATHSIG, SIGKILL)"""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def is_user_namespace():
    """Whether only one user exists here, because the program was not started by root."""
    return not os.environ.get(CALLER, "0:0").startswith("0:")


def caller():
    """User and group id that started the program, outside."""
    user, group = os.environ.get(CALLER, "0:0").split(":")
    return int(user), int(group)


def as_caller(command):
    """`command` as words that run it as the caller where root is only the caller's other name: for programs that, as
    root, change to a user who does not exist here."""
    if not is_user_namespace():
        return command
    user, group = caller()
    return ["unshare", "--user", f"--map-user={user}", f"--map-group={group}", *command]

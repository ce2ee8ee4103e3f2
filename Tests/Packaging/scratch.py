# SPDX-License-Identifier: GPL-3.0-or-later
"""A system to install on and throw away: this one's files under an overlay, with processes and a network of its own."""

import functools
import os
import shutil
import subprocess
import tempfile
import unittest

from package import deb, run, unpacked

# Its own root by pivot_root, not chroot: the maintainer scripts ask whether they are in a chroot, and here they are not.
ENTER = """
mount -t tmpfs -o mode=755 none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" overlay "$1/root"
cp "$1.given"/* "$1"
cd "$1/root"
mkdir -p .old .given
mount --bind "$1" .given
mount --rbind /dev dev
mount -t tmpfs none run
mount -t tmpfs none tmp
pivot_root . .old
mount -t proc proc /proc
umount -l /.old
rmdir /.old
ip link set lo up
cd /
exec sh -euc "$2"
"""


class System(unittest.TestCase):
    """Each call of `inside` gets a fresh one, with the packages in /.given: old.deb is the one built, new.deb its successor."""

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("installing in an overlay needs root")
        try:
            inside("true")
        except AssertionError as why:
            raise unittest.SkipTest(f"no overlay of this system can be made: {why}") from None


@functools.cache
def successor():
    """The same package with a higher version and one more line in a conffile."""
    folder = tempfile.mkdtemp(prefix="portreeve-successor.")
    tree = os.path.join(folder, "tree")
    shutil.copytree(unpacked(), tree, symlinks=True)
    control = os.path.join(tree, "DEBIAN/control")
    with open(control) as file:
        text = file.read()
    with open(control, "w") as file:
        file.write(text.replace("\nVersion: ", "\nVersion: 1:"))
    with open(os.path.join(tree, "etc/portreeve/examples/tap.yaml"), "a") as file:
        file.write("# The next version.\n")
    run("dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, os.path.join(folder, "new.deb"))
    shutil.rmtree(tree)
    return os.path.join(folder, "new.deb")


def inside(script):
    """What a shell script prints there; an error of the test if it fails."""
    with tempfile.TemporaryDirectory(prefix="portreeve-system.") as folder:
        given = folder + ".given"
        os.mkdir(given)
        try:
            shutil.copy(deb(), f"{given}/old.deb")
            shutil.copy(successor(), f"{given}/new.deb")
            environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                           "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}
            return run("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private",
                       "sh", "-euc", ENTER, "sh", folder, script, env=environment, stdin=subprocess.DEVNULL)
        finally:
            shutil.rmtree(given)

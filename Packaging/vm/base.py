# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk that the machine boots from: Debian 12, or another release, with systemd, sshd and the network tools, and nothing of Portreeve.

mmdebstrap makes the root from the archive that apt is configured for here; mke2fs makes a file system of it. What the
package depends on is downloaded but not installed: inside, where there is no network, apt resolves and installs it. The
result is kept under a name that says what it was made of, so that a second run takes seconds.
"""

import hashlib
import os
import re
import shutil
import subprocess

# mke2fs and others are not on an ordinary user's path.
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

#: What the package is made for. apt has to be configured for it here; other releases are looked for in the same archive.
RELEASE = "bookworm"
SIZE = "2G"
PACKAGES = (
    "systemd,systemd-sysv,dbus,udev,kmod,python3-minimal,libpython3-stdlib,iptables,nftables,iproute2,iputils-ping,"
    "openssh-server,openssh-client,iperf3,conntrack,curl,ethtool,procps,logrotate,openssl,rsyslog,rsyslog-openssl,"
    "linux-image-cloud-amd64,initramfs-tools")
HERE = os.path.dirname(os.path.abspath(__file__))
CUSTOMIZE = os.path.join(HERE, "customize.sh")


class Unavailable(Exception):
    """A program is missing or Debian's archive cannot be reached: a reason to skip. Anything else is a failure."""


class Broken(Exception):
    """The base could not be made though all that it needs is there."""


class Base:
    """Paths of the disk, the kernel and its initial RAM disk."""

    def __init__(self, directory):
        self.disk, self.kernel, self.initrd = (
            os.path.join(directory, name) for name in ("root.ext4", "vmlinuz", "initrd.img"))


def base(cache, dependencies, release=RELEASE):
    """The kept base, or a new one. `dependencies` are names of packages to be at hand inside."""
    sources = archive() or (refresh() and archive())
    if not sources:
        raise Unavailable(f"apt is not configured for Debian {RELEASE} here")
    sources = [line.replace(f" {RELEASE}", f" {release}") for line in sources]
    ingredients = [*sources, *sorted(dependencies)]
    for recipe in (__file__, CUSTOMIZE):
        with open(recipe) as file:
            ingredients.append(file.read())
    key = hashlib.sha256("\n".join(ingredients).encode()).hexdigest()[:16]
    directory = os.path.join(cache, f"base-{key}")
    if not os.path.isdir(directory):
        for program in ("mmdebstrap", "mke2fs", "fakeroot"):
            require(program)
        unfinished = directory + ".new"
        shutil.rmtree(unfinished, ignore_errors=True)
        os.makedirs(unfinished)
        make(unfinished, sources, dependencies, release)
        os.rename(unfinished, directory)
    return Base(directory)


def archive():
    """Lines for sources.list: the Debian archive as apt is configured here."""
    listing = subprocess.run(
        ["apt-get", "indextargets", "Created-By: Packages", "Origin: Debian", "--format",
         "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"], capture_output=True, text=True)
    lines = [line for line in listing.stdout.splitlines() if re.match(rf"deb \S+ {RELEASE}(-updates|-security)? main$", line)]
    return sorted(set(lines)) if any(f" {RELEASE} " in line for line in lines) else []


def refresh():
    """Lets root's apt learn what its archive is."""
    return subprocess.run(["apt-get", "update", "-qq"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def apt_options():
    """How apt fetches here: proxies and the checks of dates."""
    dump = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True).stdout
    wanted = re.compile(r"Acquire::(https?|Check-|Retries)\S* \"")
    return [f"--aptopt={line.rstrip(';')}" for line in dump.splitlines() if wanted.match(line)]


def make(directory, sources, dependencies, release):
    """Root, then kernel, then the file system of all the rest."""
    with open(os.path.join(directory, "sources.list"), "w") as file:
        file.write("\n".join(sources) + "\n")
    tree, log = os.path.join(directory, "root"), os.path.join(directory, "log")
    root = [] if os.geteuid() == 0 else ["fakeroot"]
    run(["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", *apt_options(), "--dpkgopt=force-unsafe-io",
         "--skip=cleanup/apt", f"--customize-hook={CUSTOMIZE} \"$1\" {' '.join(sorted(dependencies))}",
         release, f"{tree}.tar", file.name], log)
    run([*root, "sh", "-euc", """
        mkdir "$1"; tar -C "$1" -xf "$1.tar"
        mv "$1"/boot/vmlinuz-* "$2/vmlinuz"; mv "$1"/boot/initrd.img-* "$2/initrd.img"
        mke2fs -q -t ext4 -L root -d "$1" "$2/root.ext4" "$3"
        chmod -R u+rwX "$1"; rm -r "$1" "$1.tar"
        """, "sh", tree, directory, SIZE], log)


def run(command, log):
    with open(log, "ab") as output:
        status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output).returncode
    if status:
        with open(log, errors="replace") as output:
            text = output.read()
        # What apt says of an archive that does not answer, and mmdebstrap to a user without subordinate user ids.
        reason = Unavailable if "Failed to fetch" in text or "unable to pick chroot mode" in text else Broken
        raise reason(f"{command[0]} failed:\n" + "\n".join(text.splitlines()[-15:]))


def require(program):
    if shutil.which(program) is None:
        raise Unavailable(f"{program} is not installed (make deps-vm)")

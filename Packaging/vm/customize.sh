#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# customize.sh ROOT PACKAGE...: makes the test machine of a plain Debian root; PACKAGEs are to be at hand for its apt.
set -eu
root=$1
shift

chroot "$root" apt-get clean
[ $# = 0 ] || chroot "$root" apt-get install -y --download-only --no-install-recommends "$@"
chroot "$root" apt-cache gencaches

# A machine that has been started before, with one network interface whose other end the tests put where they like.
echo 6f727472656576652d746573742d766d > "$root/etc/machine-id"
echo portreeve-vm > "$root/etc/hostname"
printf '127.0.0.1 localhost portreeve-vm\n::1 localhost\n' > "$root/etc/hosts"
printf '/dev/vda / ext4 defaults 0 0\nLABEL=tests /opt/tests ext4 ro 0 0\n' > "$root/etc/fstab"
mkdir -p "$root/opt/tests"
printf '[NetDev]\nName=wan0\nKind=veth\n[Peer]\nName=wan0-far\n' > "$root/etc/systemd/network/wan0.netdev"
printf '[Match]\nName=wan0\n[Network]\nAddress=198.18.0.2/24\nAddress=fd00::2/64\nIPv6AcceptRA=no\nConfigureWithoutCarrier=yes\n' \
    > "$root/etc/systemd/network/wan0.network"
chroot "$root" systemctl enable -q systemd-networkd ssh
chroot "$root" systemctl mask -q systemd-networkd-wait-online apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer getty@tty1.service serial-getty@ttyS0.service console-getty.service

# The other machine's receiver of events is started by its step; this one's log is journald's.
chroot "$root" systemctl mask -q rsyslog.service syslog.socket

# The tests begin by themselves and go on after a reboot.
cat > "$root/etc/systemd/system/tests.service" <<'END'
[Unit]
Description=The steps of the machine's test
RequiresMountsFor=/opt/tests
After=multi-user.target ssh.service systemd-networkd.service

[Service]
ExecStart=/usr/bin/python3 -B /opt/tests/main.py
KillMode=process
Environment=HOME=/root LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=graphical.target
END
chroot "$root" systemctl enable -q tests.service
chroot "$root" systemctl set-default -q graphical.target

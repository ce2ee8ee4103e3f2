#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""bench.py - paired NFQUEUE agent benchmark. See README.md. Needs root, iptables, iproute2, iperf3, ethtool, taskset."""
import argparse, glob, json, os, re, shlex, shutil, signal, statistics, subprocess, sys, tempfile, time

NET1, NET2 = "198.18.1", "198.18.2"           # RFC 2544 benchmark range, only ever inside our own namespaces
CLIENT_IPS = [f"{NET1}.{i}" for i in range(10, 26)]
SRV = f"{NET2}.2"
TCK = os.sysconf("SC_CLK_TCK")
NICE = []


def sh(cmd, check=True, inp=None):
    r = subprocess.run(cmd if isinstance(cmd, list) else shlex.split(cmd), input=inp, text=True, capture_output=True)
    if check and r.returncode:
        raise RuntimeError(f"{cmd!r}: {r.stderr.strip() or r.stdout.strip()}")
    return r.stdout


# Opens so many connections, then closes them all and waits for the other side's FIN of each.
CLOSING = """
import json, resource, socket, sys, time
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
where, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if where == "server":
    listener = socket.create_server(("", port), backlog=4096)
    lines = [listener.accept()[0] for _ in range(count)]
    for line in lines:
        line.recv(1)
        line.close()
    time.sleep(5)
else:
    lines = [socket.create_connection((where, port), 10) for _ in range(count)]
    begun = time.monotonic()
    for line in lines: line.shutdown(socket.SHUT_WR)
    done = sum(line.recv(1) == b"" for line in lines)
    print(json.dumps({"done": done, "closed_s": done / (time.monotonic() - begun)}))
"""


class Lab:
    """client -- router -- server (hook 'forward'), or client -- server (hook 'host', agent beside the server)."""

    def __init__(self, hook, prefix):
        self.hook = hook
        self.c, self.s = f"{prefix}c", f"{prefix}s"
        self.r = f"{prefix}r" if hook == "forward" else None
        self.fw = self.r or self.s
        self.ns = [n for n in (self.c, self.r, self.s) if n]

    def nx(self, ns, cmd, **kw):
        return sh(["ip", "netns", "exec", ns] + (cmd if isinstance(cmd, list) else shlex.split(cmd)), **kw)

    def up(self):
        for n in self.ns:
            sh(f"ip netns add {n}")
            for k, v in {"net.ipv6.conf.all.disable_ipv6": 1, "net.ipv6.conf.default.disable_ipv6": 1, "net.ipv4.ip_local_port_range": "1024 65535",
                         "net.ipv4.tcp_tw_reuse": 1, "net.ipv4.conf.all.rp_filter": 0, "net.ipv4.tcp_max_syn_backlog": 8192, "net.core.somaxconn": 4096,
                         "net.ipv4.ip_forward": 1}.items():
                self.nx(n, ["sysctl", "-qw", f"{k}={v}"], check=False)
            self.nx(n, "ip link set lo up")
        self.links = []

        def link(n1, if1, n2, if2):
            sh(f"ip link add {if1} netns {n1} type veth peer name {if2} netns {n2}")
            for n, i in ((n1, if1), (n2, if2)):
                self.nx(n, f"ip link set {i} txqueuelen 10000 up")
                self.links.append((n, i))
        if self.r:
            link(self.c, "eth0", self.r, "in0"); link(self.r, "out0", self.s, "eth0")
            for ip in CLIENT_IPS: self.nx(self.c, f"ip addr add {ip}/24 dev eth0")
            self.nx(self.r, f"ip addr add {NET1}.1/24 dev in0"); self.nx(self.r, f"ip addr add {NET2}.1/24 dev out0")
            self.nx(self.s, f"ip addr add {SRV}/24 dev eth0")
            self.nx(self.c, f"ip route add default via {NET1}.1"); self.nx(self.s, f"ip route add default via {NET2}.1")
            self.nx(self.s, "iptables -t raw -A PREROUTING -p udp --dport 9000 -j DROP")
        else:
            link(self.c, "eth0", self.s, "eth0")
            for ip in CLIENT_IPS: self.nx(self.c, f"ip addr add {ip}/16 dev eth0")
            self.nx(self.c, f"ip route add {NET2}.0/24 dev eth0")
            self.nx(self.s, f"ip addr add {SRV}/24 dev eth0"); self.nx(self.s, f"ip route add {NET1}.0/24 dev eth0")
            self.nx(self.s, "iptables -t filter -A INPUT -p udp --dport 9000 -j DROP")
        self.nx(self.c, f"ping -c 2 -i 0.2 -W 2 {SRV}", check=False)

    def down(self):
        for n in self.ns:
            sh(f"ip netns del {n}", check=False)

    def sink(self):
        t, ch = ("raw", "PREROUTING") if self.r else ("filter", "INPUT")
        for ln in self.nx(self.s, f"iptables -t {t} -nvxL {ch}").splitlines():
            f = ln.split()
            if "dpt:9000" in ln: return int(f[0])
        raise RuntimeError("sink counter not found")

    def offload(self, on):
        v = "on" if on else "off"
        for n, i in self.links:
            self.nx(n, f"ethtool -K {i} tso {v} gso {v} gro off", check=False)

    def rules(self, con):
        """Install the ruleset of one contestant in the firewall namespace (mangle table; the UDP sink is later in the path)."""
        fw, chains = self.fw, (["FORWARD"] if self.r else ["INPUT", "OUTPUT"])
        for b in ("iptables", "iptables-legacy"):
            self.nx(fw, f"{b} -t mangle -F", check=False)
            if self.r: self.nx(fw, f"{b} -t filter -F FORWARD", check=False)
        self.nx(fw, "nft delete table ip bench", check=False)
        self.nx(fw, "conntrack -F", check=False)
        self.nx(fw, "ipset destroy bench", check=False)
        k = con.kernel
        if k is None:
            if con.nq > 1: tgt = f"-j NFQUEUE --queue-balance {con.q}:{con.q + con.nq - 1}"
            else: tgt = f"-j NFQUEUE --queue-num {con.q}"
            ipt = "*mangle\n"
            if con.connmark:
                ipt += "".join(f"-A {c} -m connmark --mark {con.connmark}/{con.connmark} -j ACCEPT\n" for c in chains)
                ipt += f"-A POSTROUTING -m mark --mark {con.connmark}/{con.connmark} -j CONNMARK --save-mark\n" if self.r else ""
            elif con.ct:
                ipt += "".join(f"-A {c} -m conntrack --ctstate INVALID -j DROP\n" for c in chains)
            ipt += "".join(f"-A {c} {tgt}\n" for c in chains) + "COMMIT\n"
            if con.connmark and not self.r:
                ipt += "*filter\n" + "".join(f"-A {c} -m mark --mark {con.connmark}/{con.connmark} -j CONNMARK --save-mark\n" for c in chains) + "COMMIT\n"
            self.nx(fw, "iptables-restore -n", inp=ipt)
            return
        kind, _, n = k.partition(":"); n = int(n or 0)
        if kind == "none": return
        if kind in ("legacy", "iptables", "ctlegacy", "ctrefusing"):
            ipt = "*mangle\n"
            for c in chains:
                if kind in ("ctlegacy", "ctrefusing"): ipt += f"-A {c} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n-A {c} -m conntrack --ctstate INVALID -j DROP\n"
                ipt += "".join(f"-A {c} -s 203.0.113.{i % 256}/32 -p {'tcp' if i & 1 else 'udp'} --dport {1 + i % 60000} -j DROP\n" for i in range(n))
                if kind == "ctrefusing": ipt += f"-A {c} -p udp --dport 9000 -j DROP\n"
                ipt += f"-A {c} -j ACCEPT\n"
            self.nx(fw, ("iptables-restore" if kind == "iptables" else "iptables-legacy-restore") + " -n", inp=ipt + "COMMIT\n")
        elif kind in ("ipset", "ctipset"):
            s = "create bench hash:ip,port maxelem 131072\n" + "".join(f"add bench 203.0.113.{i % 256},{'tcp' if i & 1 else 'udp'}:{1 + i % 60000}\n" for i in range(n))
            self.nx(fw, "ipset restore", inp=s)
            ipt = "*mangle\n" + "".join((f"-A {c} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n" if kind == "ctipset" else "") + f"-A {c} -m set --match-set bench src,dst -j DROP\n-A {c} -j ACCEPT\n" for c in chains) + "COMMIT\n"
            self.nx(fw, "iptables-legacy-restore -n", inp=ipt)
        elif kind in ("nftset", "ctnftset"):
            h = {"FORWARD": "forward", "INPUT": "input", "OUTPUT": "output"}
            el = ", ".join(f"203.0.113.{i % 256} . {'tcp' if i & 1 else 'udp'} . {1 + i % 60000}" for i in range(n))
            s = "table ip bench {\n set bad { type ipv4_addr . inet_proto . inet_service; elements = { %s } }\n" % el
            for c in chains:
                s += f" chain {h[c]} {{ type filter hook {h[c]} priority -150; " + ("ct state established,related accept; " if kind == "ctnftset" else "") + "ip saddr . meta l4proto . th dport @bad drop; accept; }\n"
            self.nx(fw, "nft -f -", inp=s + "}\n")
        else:
            raise SystemExit(f"unknown kernel contestant {k}")


def ksoftirqd(cpus):
    """Run time of the ksoftirqd threads of these CPUs: forwarding work that the kernel moved out of the agent's own time."""
    if not hasattr(ksoftirqd, "pids"):
        ksoftirqd.pids = {}
        for f in glob.glob("/proc/[0-9]*/comm"):
            try: n = open(f).read().strip()
            except OSError: continue
            if n.startswith("ksoftirqd/"): ksoftirqd.pids[n[10:]] = f.split("/")[2]
    return sum(int(open(f"/proc/{p}/schedstat").read().split()[0]) for c, p in ksoftirqd.pids.items() if not cpus or c in cpus.split(",")) / 1e9


class Contestant:
    def __init__(self, spec, q, nq_default):
        m = re.match(r"^([A-Za-z0-9_.-]+)((?:\+[a-z]+(?::[0-9a-fx]+)?)*)=(.*)$", spec, re.S)
        if not m: raise SystemExit(f"bad --agent {spec!r}: NAME[+connmark[:0x1]][+ct][+nq:N]=COMMAND")
        self.name, opts, self.cmd = m.group(1), m.group(2), m.group(3)
        self.connmark = None; self.ct = False; self.nq = nq_default; self.cpus = None
        for o in filter(None, opts.split("+")):
            k, _, v = o.partition(":")
            if k == "connmark": self.connmark = v or "0x1"
            elif k == "ct": self.ct = True
            elif k == "nq": self.nq = int(v)
            elif k == "float": self.cpus = ""
            else: raise SystemExit(f"unknown option +{o}")
        self.kernel = self.cmd[7:] if self.cmd.startswith("kernel:") else None
        self.q, self.proc, self.log = q, None, None

    def start(self, lab, cpus, work, timeout):
        if self.kernel is not None: return
        cmd = self.cmd.replace("{q}", str(self.q)).replace("{nq}", str(self.nq)).replace("{qlast}", str(self.q + self.nq - 1))
        cpus = cpus if self.cpus is None else self.cpus
        self.at = cpus
        self.log = os.path.join(work, f"{self.name}.log")
        pre = NICE + ["ip", "netns", "exec", lab.fw] + (["taskset", "-c", cpus] if cpus else [])
        self.t0 = time.time()
        self.proc = subprocess.Popen(pre + ["bash", "-c", "exec " + cmd], stdout=open(self.log, "w"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
        while time.time() - self.t0 < timeout:
            if self.proc.poll() is not None: break
            if len(self.stats()) == self.nq: self.ready = time.time() - self.t0; time.sleep(0.2); return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name}: did not bind queue(s) {self.q}..{self.q + self.nq - 1}; log tail:\n" + open(self.log).read()[-1500:])

    def stop(self):
        if self.proc and self.proc.poll() is None:
            try:
                os.killpg(self.proc.pid, signal.SIGTERM); self.proc.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.proc.pid, signal.SIGKILL); self.proc.wait()
            except ProcessLookupError: pass

    def stats(self):
        """{queue: (waiting, dropped_full, dropped_socket, last_id)} of our queues, from the agent's own namespace."""
        out = {}
        try:
            for ln in open(f"/proc/{self.proc.pid}/net/netfilter/nfnetlink_queue"):
                f = ln.split()
                if self.q <= int(f[0]) < self.q + self.nq: out[int(f[0])] = (int(f[2]), int(f[5]), int(f[6]), int(f[7]))
        except (FileNotFoundError, OSError): pass
        return out

    def pids(self):
        todo, seen = [self.proc.pid], []
        while todo:
            p = todo.pop(); seen.append(p)
            for f in glob.glob(f"/proc/{p}/task/*/children"):
                try: todo += [int(x) for x in open(f).read().split()]
                except OSError: pass
        return seen

    def snap(self):
        """(cpu seconds, user s, system s, queued, dropped_full, dropped_socket)"""
        if self.kernel is not None: return None
        ns = u = s = 0
        for p in self.pids():
            try:
                f = open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split(); u += int(f[11]); s += int(f[12])
                for t in glob.glob(f"/proc/{p}/task/*/schedstat"): ns += int(open(t).read().split()[0])
            except (OSError, IndexError): pass
        st = self.stats().values()
        return ns / 1e9, u / TCK, s / TCK, sum(x[3] for x in st), sum(x[1] for x in st), sum(x[2] for x in st), ksoftirqd(self.at)

    def rss(self):
        kb = 0
        for p in self.pids():
            try: kb += int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{p}/status").read()).group(1))
            except (OSError, AttributeError): pass
        return kb / 1024


def finish(p, timeout):
    """Output of a bounded generator; killed (and reaped) if it outlives its time."""
    try: return p.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        p.kill(); p.communicate(); raise


def diff(a, b):
    if a is None: return {}
    d = [y - x for x, y in zip(a, b)]
    pk = d[3] - d[5]
    return {"cpu_s": d[0], "user_s": d[1], "sys_s": d[2], "queued": d[3], "drop_full": d[4], "drop_sock": d[5], "ksoft_s": d[6], "cpu_us_pkt": d[0] * 1e6 / pk if pk > 50 else None,
            "cpu_us_all": (d[0] + d[6]) * 1e6 / pk if pk > 50 else None}


class Bench:
    def __init__(self, a, lab, binpath):
        self.a, self.lab, self.bin = a, lab, binpath

    def scpu(self, con):
        """Where no agent occupies its CPU (kernel-only, connmark bypass) the server runs there, so that all contestants use the same
        number of CPUs; a --server-cpu of several CPUs is taken as it is for all."""
        return self.a.server_cpu if (con.kernel is None and not con.connmark) or "," in self.a.server_cpu else (self.a.agent_cpus or "")

    def cmd(self, ns, cpu, args, out=subprocess.PIPE):
        return subprocess.Popen(NICE + ["ip", "netns", "exec", ns] + (["taskset", "-c", cpu] if cpu else []) + args, stdout=out, stderr=subprocess.DEVNULL, text=True)

    def blast(self, rate, secs):
        if not hasattr(self, "mac"):
            ns, i = (self.lab.r, "in0") if self.lab.r else (self.lab.s, "eth0")
            self.mac = re.search(r"link/ether (\S+)", self.lab.nx(ns, f"ip link show {i}")).group(1)
        return self.cmd(self.lab.c, self.a.client_cpu, [f"{self.bin}/udpblast", "-S", ",".join(CLIENT_IPS), "-d", SRV, "-p", "9000", "-F", str(self.a.flows), "-l", str(self.a.payload), "-r", str(rate), "-t", str(secs)] + ([] if self.a.gen == "udp" else ["-i", "eth0", "-m", self.mac, "-b", "64" if not rate else "16"]))

    def udp(self, con, rate, secs):
        s0, c0 = self.lab.sink(), con.snap(); t = time.time()
        p = self.blast(rate, secs); o = json.loads(finish(p, secs + 20))
        c1 = con.snap(); time.sleep(0.25); s1 = self.lab.sink()
        got = s1 - s0
        r = {"offered_pps": o["sent"] / o["sec"], "pps": got / o["sec"], "loss_pct": 100 * (1 - got / max(1, o["sent"]))}
        r.update(diff(c0, c1))
        if "cpu_s" in r: r["cpu_pct"] = 100 * r["cpu_s"] / (o["sec"])
        return r

    def drain(self, con, k, reps=12):
        """Stop the agent, let k packets pile up, continue it: its cost per packet with a full backlog and nobody else running."""
        if con.kernel is not None: return {}
        us, n = [], []
        for _ in range(reps):
            try:
                for p in con.pids(): os.kill(p, signal.SIGSTOP)
                time.sleep(0.02); a = con.snap(); finish(self.blast(100000, k / 100000), 20); time.sleep(0.02); b = con.snap()
            finally:
                for p in con.pids(): os.kill(p, signal.SIGCONT)
            got = (b[3] - b[5]) - (a[3] - a[5]); end = time.time() + 2
            while time.time() < end and sum(x[0] for x in con.stats().values()): time.sleep(0.005)
            time.sleep(0.02); c = con.snap()
            if got > 20: us.append((c[0] - b[0]) * 1e6 / got); n.append(got)
        return {"us_pkt": statistics.median(us), "backlog": statistics.median(n)} if us else {}

    def ndr(self, con, secs, hi):
        lo, best = 0.0, 0.0
        for _ in range(7):
            mid = (lo + hi) / 2 if lo else hi
            r = self.udp(con, mid, secs)
            if r["loss_pct"] <= 0.1 and r["offered_pps"] > mid * 0.97: lo = best = mid
            else: hi = mid; lo = lo or hi * 0.5
            if hi - lo < hi * 0.04: break
        return {"ndr_pps": best}

    def tcp(self, con, secs, on):
        self.lab.offload(on)
        srv = self.cmd(self.lab.s, self.scpu(con), ["iperf3", "-s", "-1", "-p", "5201"], out=subprocess.DEVNULL); time.sleep(0.15)
        try:
            c0 = con.snap()
            p = self.cmd(self.lab.c, self.a.client_cpu, ["iperf3", "-c", SRV, "-p", "5201", "-t", str(int(secs)), "-P", str(self.a.streams), "-J", "--connect-timeout", "3000"])
            o = json.loads(finish(p, secs + 20)); c1 = con.snap()
            if "error" in o: return {"gbps": 0.0, "error": o["error"]}
            e = o["end"]; by = e["sum_received"]["bytes"]
            r = {"gbps": e["sum_received"]["bits_per_second"] / 1e9, "retr": e["sum_sent"].get("retransmits")}
            r.update(diff(c0, c1))
            if "cpu_s" in r: r["cpu_s_per_gb"] = r["cpu_s"] / (by / 1e9) if by else None
            return r
        finally:
            if srv.poll() is None: srv.kill()
            srv.wait(); self.lab.offload(True)

    def crr(self, con, secs):
        srv = self.cmd(self.lab.s, self.scpu(con), [f"{self.bin}/tcpcrr", "-s", "-p", "9002", "-t", str(secs + 2)]); time.sleep(0.1)
        try:
            c0 = con.snap()
            p = self.cmd(self.lab.c, self.a.client_cpu, [f"{self.bin}/tcpcrr", "-S", ",".join(CLIENT_IPS), "-d", SRV, "-p", "9002", "-c", str(self.a.conc), "-t", str(secs)])
            r = json.loads(finish(p, secs + 20)); c1 = con.snap(); d = diff(c0, c1)
            if d: d["cpu_us_conn"] = d["cpu_s"] * 1e6 / r["done"] if r["done"] else None
            r.update(d); return r
        finally:
            srv.kill(); srv.wait()

    def teardown(self, con, count):
        """RFC 3511 5.4: so many connections are open, and are closed one after the other, by FIN, as fast as it goes; each counts
        when both sides have seen the other's."""
        srv = self.cmd(self.lab.s, self.scpu(con), [sys.executable, "-c", CLOSING, "server", "9003", str(count)]); time.sleep(0.3)
        try:
            p = self.cmd(self.lab.c, self.a.client_cpu, [sys.executable, "-c", CLOSING, SRV, "9003", str(count)])
            return json.loads(finish(p, 60))
        finally:
            srv.kill(); srv.wait()

    def illegal(self, con, secs, rate):
        """RFC 3511 5.8: what a download keeps beside packets that are refused, of which so many a second come."""
        b = self.blast(rate, secs + 1.5); time.sleep(0.3)
        try: return self.tcp(con, secs, True)
        finally: b.wait()

    def frag(self, con, secs, size):
        """RFC 3511 5.9: UDP datagrams of so many bytes, as fast as they can be sent, which come in fragments; those reassembled count."""
        srv = self.cmd(self.lab.s, self.scpu(con), ["iperf3", "-s", "-1", "-p", "5202"], out=subprocess.DEVNULL); time.sleep(0.15)
        try:
            c0 = con.snap()
            p = self.cmd(self.lab.c, self.a.client_cpu, ["iperf3", "-u", "-c", SRV, "-p", "5202", "-l", str(size), "-b", "0", "-t", str(int(secs)), "-J", "--connect-timeout", "3000"])
            o = json.loads(finish(p, secs + 20)); c1 = con.snap()
            if "error" in o: return {"mbps": 0.0, "error": o["error"]}
            e = o["end"]["sum"]
            r = {"mbps": e["bits_per_second"] / 1e6 * (1 - e["lost_percent"] / 100), "lost": e["lost_percent"]}
            r.update(diff(c0, c1)); return r
        finally:
            if srv.poll() is None: srv.kill()
            srv.wait()

    def lat(self, con, n, bg):
        srv = self.cmd(self.lab.s, self.scpu(con), [f"{self.bin}/udppp", "-s", "-p", "9001", "-t", "30"]); time.sleep(0.1)
        b = self.blast(bg, 3) if bg else None
        if b: time.sleep(0.3)
        try:
            p = self.cmd(self.lab.c, self.a.client_cpu if not bg else self.a.server_cpu, [f"{self.bin}/udppp", "-d", SRV, "-p", "9001", "-n", str(n), "-g", "300", "-t", "2.5"])
            return json.loads(finish(p, 30))
        finally:
            if b: b.wait()
            srv.kill(); srv.wait()


def busy(dt=0.1):
    def rd(): f = [int(x) for x in open("/proc/stat").readline().split()[1:9]]; return sum(f), f[3] + f[4]
    a, i = rd(); time.sleep(dt); b, j = rd()
    return 1 - (j - i) / max(1, b - a)


def wait_quiet(limit):
    """Shared machine: before each measurement wait (bounded) until it is mostly idle. Returns the last busy fraction seen."""
    t = time.time(); x = busy()
    while x > 0.2 and time.time() - t < limit: time.sleep(0.2); x = busy()
    return x


PRIMARY = {"sat": "pps", "load": "cpu_us_all", "ndr": "ndr_pps", "drain": "us_pkt", "tcp": "gbps", "tcpmtu": "gbps", "crr": "cps", "lat": "p50", "latload": "p50",
           "teardown": "closed_s", "illegal": "gbps", "frag": "mbps"}
SHOW = {"sat": ["offered_pps", "pps", "loss_pct", "cpu_us_pkt", "cpu_us_all", "cpu_pct", "drop_full", "drop_sock"], "load": ["pps", "loss_pct", "cpu_us_pkt", "cpu_us_all", "cpu_pct"],
        "ndr": ["ndr_pps"], "drain": ["us_pkt", "backlog"], "tcp": ["gbps", "cpu_s_per_gb", "retr"], "tcpmtu": ["gbps", "cpu_s_per_gb", "retr"], "crr": ["cps", "p50", "p99", "fail", "cpu_us_conn"],
        "lat": ["p50", "p99", "lost"], "latload": ["p50", "p99", "lost"], "teardown": ["closed_s", "done"], "illegal": ["gbps", "cpu_s_per_gb", "retr"],
        "frag": ["mbps", "lost", "cpu_us_pkt"]}


def fmt(x):
    if x is None: return "-"
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}" if abs(x) < 10 else f"{x:.1f}"


def summarise(res, names, tests):
    lines = []
    for t in tests:
        base = t.split("@")[0]
        lines.append(f"\n### {t}")
        keys = SHOW.get(base, [])
        pk = PRIMARY.get(base, "pps")
        lines.append("| agent | " + " | ".join(keys) + f" | {pk} ratio to {names[0]} |"); lines.append("|" + "---|" * (len(keys) + 2))
        for n in names:
            rs = res[n].get(t, [])
            cells = []
            for k in keys:
                v = [r[k] for r in rs if r.get(k) is not None]
                cells.append("-" if not v else f"{fmt(statistics.median(v))} ({fmt(min(v))}–{fmt(max(v))})" if k == pk else fmt(statistics.median(v)))
            ra = [r[pk] / q[pk] for r, q in zip(rs, res[names[0]].get(t, [])) if r.get(pk) is not None and q.get(pk)]
            cells.append(f"{statistics.median(ra):.3f} ({min(ra):.3f}–{max(ra):.3f})" if ra else "-")
            lines.append(f"| {n} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--agent", action="append", required=True, metavar="NAME[+opts]=CMD", help="contestant; the first is the reference. {q} {nq} {qlast} are replaced. CMD may be kernel:none, kernel:legacy:N, kernel:iptables:N, kernel:ctlegacy:N, kernel:ipset:N, kernel:nftset:N, kernel:ctnftset:N. opts: +connmark[:M] +ct +nq:N +float")
    ap.add_argument("--hook", choices=["forward", "host"], default="forward")
    ap.add_argument("--queues", type=int, default=1, help="queues per agent (--queue-balance when > 1)")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--tests", default="sat,load@20000,load@100000,tcp,tcpmtu,crr,lat", help="of: sat load@PPS drain@N ndr tcp tcpmtu crr lat latload@PPS teardown@CONNECTIONS illegal@PPS frag@BYTES")
    ap.add_argument("--secs", type=float, default=1.5, help="seconds per UDP/crr measurement")
    ap.add_argument("--tcp-secs", type=float, default=2)
    ap.add_argument("--flows", type=int, default=64); ap.add_argument("--payload", type=int, default=18)
    ap.add_argument("--conc", type=int, default=32); ap.add_argument("--streams", type=int, default=1); ap.add_argument("--pings", type=int, default=1500)
    ap.add_argument("--client-cpu", default="0"); ap.add_argument("--server-cpu", default="0"); ap.add_argument("--agent-cpus", default="1", help="'' = do not pin")
    ap.add_argument("--start-timeout", type=float, default=40); ap.add_argument("--budget", type=float, default=240, help="stop after the round during which this many seconds have passed")
    ap.add_argument("--quiet-wait", type=float, default=3, help="seconds to wait at most, before each measurement, for the machine to be idle")
    ap.add_argument("--realtime", action="store_true", help="schedule agents and generators before everything else, where others keep the machine busy")
    ap.add_argument("--nice", type=int, default=-10, help="priority of agents and generators alike, against other users of the machine (0 = leave)")
    ap.add_argument("--bin", default=None); ap.add_argument("--json", default=None); ap.add_argument("--title", default="")
    ap.add_argument("--prefix", default=None); ap.add_argument("--gen", choices=["raw", "udp"], default="raw", help="UDP generator: raw AF_PACKET frames (cheap, saturates the firewall) or UDP sockets")
    a = ap.parse_args()
    if a.realtime: NICE[:] = ["chrt", "-r", "1"]
    elif a.nice: NICE[:] = ["nice", "-n", str(a.nice)]
    here = os.path.dirname(os.path.abspath(__file__)); binp = a.bin or os.path.join(here, "build")
    if not os.path.exists(f"{binp}/udpblast"): sh(["make", "-s", "-C", here, f"B={binp}"])
    cons, q = [], 0
    for s in a.agent:
        c = Contestant(s, q, a.queues); cons.append(c); q += max(c.nq, 1) + 1
    tests = a.tests.split(","); names = [c.name for c in cons]
    lab = Lab(a.hook, a.prefix or f"pb-{os.getpid()}-"); b = Bench(a, lab, binp); work = tempfile.mkdtemp(prefix="nfqbench.")
    res = {n: {} for n in names}; t0 = time.time(); dead = set(); noises = []
    def bye(*_): raise SystemExit("terminated")
    signal.signal(signal.SIGTERM, bye); signal.signal(signal.SIGHUP, bye)
    try:
        lab.up(); lab.offload(True)
        for c in list(cons):
            try: c.start(lab, a.agent_cpus, work, a.start_timeout)
            except RuntimeError as e: print(f"!! {e}", file=sys.stderr); c.stop(); dead.add(c.name)
        cons = [c for c in cons if c.name not in dead]
        for rnd in range(a.rounds):
            if rnd and time.time() - t0 > a.budget: print(f"budget reached after {rnd} rounds", file=sys.stderr); break
            for t in tests:
                order = cons if rnd % 2 == 0 else cons[::-1]
                for c in order:
                    if c.name in dead: continue
                    lab.rules(c); base, _, arg = t.partition("@"); noise = wait_quiet(a.quiet_wait)
                    try:
                        if base == "sat": r = b.udp(c, 0, a.secs)
                        elif base == "load": r = b.udp(c, float(arg), a.secs)
                        elif base == "drain": r = b.drain(c, float(arg or 1000))
                        elif base == "ndr": r = b.ndr(c, 0.7, float(arg or 400000))
                        elif base in ("tcp", "tcpmtu"): r = b.tcp(c, a.tcp_secs, base == "tcp")
                        elif base == "crr": r = b.crr(c, a.secs)
                        elif base == "teardown": r = b.teardown(c, int(arg or 500))
                        elif base == "illegal": r = b.illegal(c, a.tcp_secs, float(arg))
                        elif base == "frag": r = b.frag(c, a.tcp_secs, int(arg or 8000))
                        elif base in ("lat", "latload"): r = b.lat(c, a.pings, float(arg or 0))
                        else: raise SystemExit(f"unknown test {t}")
                    except (subprocess.TimeoutExpired, ValueError, KeyError) as e:
                        r = {"error": repr(e)[:200]}; print(f"!! {c.name} {t}: {e!r}", file=sys.stderr)
                    r["busy_before"] = noise; noises.append(noise)
                    res[c.name].setdefault(t, []).append(r)
                    if c.proc and c.proc.poll() is not None:
                        print(f"!! {c.name} exited during {t}: " + open(c.log).read()[-800:], file=sys.stderr); dead.add(c.name)
        print(f"## {a.title or ' vs '.join(names)}\nhook={a.hook} queues={a.queues} rounds={max([len(v) for n in names for v in res[n].values()] or [0])} secs={a.secs} flows={a.flows} payload={a.payload} agent-cpus={a.agent_cpus or 'any'} kernel={os.uname().release}")
        print(summarise(res, [c.name for c in cons], tests))
        print("\n| agent | start s | peak RSS MiB |\n|---|---|---|")
        for c in cons:
            if c.proc and c.proc.poll() is None:
                m = c.rss(); res[c.name]["rss_mib"] = m; print(f"| {c.name} | {c.ready:.2f} | {m:.1f} |")
        if noises: print(f"\nmachine busy before a measurement: median {100 * statistics.median(noises):.0f} %, max {100 * max(noises):.0f} %")
        print(f"total {time.time() - t0:.0f} s")
        if a.json: json.dump({"args": {k: v for k, v in vars(a).items() if k not in ("bin", "json")}, "results": res}, open(a.json, "w"), indent=1)
    finally:
        for c in cons: c.stop()
        lab.down(); shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""prove.py [--bin DIRECTORY] [--results FILE] [--part NAME…]: whether what `check` and `diff` say is so, in four ways that know nothing of each
other, and lists of a million addresses.

`make prove-analysis` asks of 100,000 random policies over few packets, all of which are asked; of diagrams and of a solver; and of the
kernel, which judges 100,000 packets by the same rules. It takes hours, and its outcome is kept in RESULTS.md. Each part is kept as soon as
it ends, in the place of what it said before; parts can be run by themselves, one after another or at once. What cannot be asked, because a
library is missing or a program fails, counts as a disagreement.
"""

import argparse
import datetime
import fcntl
import os
import platform
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "Live"))

import isolation

isolation.isolate()

import kernel_rules
import long_lists
import oracles

# The policies of the tiny universe are asked in so many parts.
PIECES = 10
SHAPES = ("acl", "fw", "ipc")


def parts(options):
    """By name: who is asked, and what does it, given a folder: it says what was asked, and what was wrong."""
    tool = os.path.join(options.bin, "portreeve")

    def universe(piece):
        count = options.policies // PIECES
        result = subprocess.run(
            [os.path.join(options.bin, "portreeve-bench"), "prove", "--policies", str(count), "--seed", str(1 + piece * count)],
            capture_output=True, text=True)
        return result.stdout.strip(), [result.stdout.strip() + result.stderr] if result.returncode else []

    def asked(make_algebra, ask):
        def run(folder):
            run = oracles.Run(options.bin, folder)
            return ask(run, make_algebra()), run.failures
        return run

    def kernel(folder):
        wrong, passed, refused = kernel_rules.compare(tool, options.sets, 5_000, folder)
        return (f"{options.sets} sets of 20 rules, {passed + refused + len(wrong):,} packets, of which {passed:,} pass both and "
                f"{refused:,} pass neither"), wrong

    def lists(folder):
        wrong, memory = long_lists.ask(tool, folder, options.addresses)
        return f"{options.addresses:,} addresses, of which check, diff and explain tell each from its neighbours; at most {memory} MiB", wrong

    def many_lists(folder):
        wrong, memory = long_lists.ask_of_many(tool, folder, options.addresses, 40)
        return f"80 rules with four lists of {options.addresses:,} addresses, each changed by one; at most {memory} MiB", wrong

    found = {f"universe-{piece + 1}": ("every packet of a tiny universe", lambda _, piece=piece: universe(piece)) for piece in range(PIECES)}
    for name, who, make in (("diagrams", "diagrams (oxidd)", oracles.Diagrams), ("solver", "solver (z3)", oracles.Solver)):
        found[f"{name}-policies"] = who, asked(make, lambda run, algebra: run.random_policies(algebra, options.asked, 1))
        found[f"{name}-pairs"] = who, asked(make, lambda run, algebra: run.random_pairs(algebra, options.asked, 1))
    for shape in SHAPES:
        found[f"diagrams-{shape}"] = "diagrams (oxidd)", asked(
            oracles.Diagrams, lambda run, algebra, shape=shape: run.generated(algebra, shape, options.rules))
    found["kernel"] = "the kernel (iptables)", kernel
    found["lists"] = "lists", lists
    found["many-lists"] = "lists", many_lists
    return found


class Results:
    """The file with what was found, with a row for each part that has been run, if there is one."""

    ROW = re.compile(r"\| (\S+) \| ([^|]*) \| ([^|]*) \| ([^|]*) \| (\d+) \|$")

    def __init__(self, path, names):
        self.path, self.names = path, names

    def keep(self, name, who, what, wrong):
        """Several may do it at once."""
        row = (name, who, re.sub(r"\s*[|\n]\s*", " ", what), f"{datetime.date.today()}, Linux {platform.release()}", str(len(wrong)))
        if not self.path:
            return
        with open(self.path, "a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            text = file.read()
            rows = {found[1]: found.groups() for found in map(self.ROW.match, text.splitlines()) if found}
            faults = [line for line in text.splitlines() if line.startswith("- ") and not line.startswith(f"- {name}: ")]
            rows[name] = row
            faults += [f"- {name}: " + " ".join(each.split()) for each in wrong[:20]]
            file.truncate(0)
            file.write(self.text(rows, faults))

    def text(self, rows, faults):
        lines = ["# What `check` and `diff` say, against others", "", "`make prove-analysis` writes this file.", "",
                 "| part | asked | what | when | disagreements |", "|---|---|---|---|---|"]
        lines += [f"| {' | '.join(rows[name])} |" for name in self.names if name in rows]
        missing = [name for name in self.names if name not in rows]
        total = sum(int(rows[name][4]) for name in self.names if name in rows)
        lines += ["", *faults, *([""] if faults else [])]
        lines.append(f"{total} disagreements" + (f" so far; not yet run: {', '.join(missing)}." if missing else "."))
        return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default=".build/release")
    parser.add_argument("--policies", type=int, default=100_000, help="over few packets")
    parser.add_argument("--asked", type=int, default=1_000, help="policies, and pairs of them, for each oracle")
    parser.add_argument("--rules", type=int, default=2_000, help="of each generated policy")
    parser.add_argument("--sets", type=int, default=20, help="of rules for the kernel, with 5,000 packets each")
    parser.add_argument("--addresses", type=int, default=1_000_000, help="of one list")
    parser.add_argument("--results", help="a file for what was found")
    parser.add_argument("--part", action="append", help="only this part; several may be named", metavar="NAME")
    options = parser.parse_args()
    options.bin = os.path.abspath(options.bin)
    known = parts(options)
    chosen = options.part or list(known)
    if unknown := set(chosen) - set(known):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    results, total = Results(options.results, list(known)), 0
    for name in chosen:
        who, ask = known[name]
        with tempfile.TemporaryDirectory(prefix="portreeve-proof.") as folder:
            try:
                what, wrong = ask(folder)
            except (Exception, SystemExit) as error:
                what, wrong = "could not be asked", [f"{type(error).__name__}: {error}"]
        total += len(wrong)
        print(f"{name}: {who}: {what}: {len(wrong)} disagreements", *wrong[:20], sep="\n  ", flush=True)
        results.keep(name, who, what, wrong)
    print(f"{total} disagreements in {len(chosen)} of {len(known)} parts")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())

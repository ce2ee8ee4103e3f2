# SPDX-License-Identifier: GPL-3.0-or-later
"""prove.py [--bin DIRECTORY] [--results FILE]: whether what `check` and `diff` say is so, in four ways that know nothing of each other, and lists of
a million addresses.

`make prove-analysis` asks of 100,000 random policies over few packets, all of which are asked; of diagrams and of a solver; and of the
kernel, which judges 100,000 packets by the same rules. It takes hours, and its outcome is kept in RESULTS.md.
"""

import argparse
import os
import platform
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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default=".build/release")
    parser.add_argument("--policies", type=int, default=100_000, help="over few packets")
    parser.add_argument("--asked", type=int, default=1_000, help="policies, and pairs of them, for each oracle")
    parser.add_argument("--rules", type=int, default=2_000, help="of each generated policy")
    parser.add_argument("--sets", type=int, default=20, help="of rules for the kernel, with 5,000 packets each")
    parser.add_argument("--addresses", type=int, default=1_000_000, help="of one list")
    parser.add_argument("--results", help="a file for what was found")
    options = parser.parse_args()
    binaries = os.path.abspath(options.bin)
    lines, wrong = [], []

    def note(oracle, text):
        lines.append(f"| {oracle} | {text} |")
        print(lines[-1], flush=True)

    result = subprocess.run(
        [os.path.join(binaries, "portreeve-bench"), "prove", "--policies", str(options.policies)], capture_output=True, text=True)
    note("every packet of a tiny universe", result.stdout.strip())
    if result.returncode:
        wrong.append(result.stdout.strip() + result.stderr)
    with tempfile.TemporaryDirectory(prefix="portreeve-proof.") as folder:
        wrong += oracles.ask(binaries, folder, options.asked, options.rules, note)
        disagreements, passed, refused = kernel_rules.compare(os.path.join(binaries, "portreeve"), options.sets, 5_000, folder)
        note("the kernel (iptables)", f"{options.sets} sets of 20 rules, {passed + refused + len(disagreements):,} packets, of which {passed:,} "
             f"pass both and {refused:,} pass neither")
        wrong += disagreements
        faults, memory = long_lists.ask(os.path.join(binaries, "portreeve"), folder, options.addresses)
        note("lists", f"{options.addresses:,} addresses, of which check, diff and explain tell each from its neighbours; at most {memory} MiB")
        wrong += faults
    print(f"{len(wrong)} disagreements")
    if options.results:
        with open(options.results, "w") as file:
            file.write(f"# What `check` and `diff` say, against others\n\n`make prove-analysis`, Linux {platform.release()}.\n\n")
            file.write("| asked | what |\n|---|---|\n" + "\n".join(lines) + f"\n\n{len(wrong)} disagreements.\n")
            file.writelines(f"- {each}\n" for each in wrong[:100])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

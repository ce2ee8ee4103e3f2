# SPDX-License-Identifier: GPL-3.0-or-later
"""`check`, `diff` and `explain` of policies whose lists are long: each address in them counts, at the list's ends and in its middle."""

import json
import os
import resource
import shlex
import subprocess

HEAD = "version: 1\ninterfaces: { ignore: [lo] }\nengine: { sanity: { reserved-addresses: allow, ipv6: { bogon: allow } } }\n"
RULE = "  - {{ name: {}, action: {}, direction: incoming, protocol: tcp, source: {{ addresses: {} }}{} }}\n"


def address(number):
    """Every other address, so that no two are neighbours: IPv4 and IPv6 by turns."""
    if number % 2:
        return f"2001:db8:0:1:{number >> 32 & 65535:x}:{number >> 16 & 65535:x}:{number & 65535:x}:1"
    number *= 2
    return f"{16 + (number >> 24)}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def ask(tool, folder, count):
    """What is wrong, and the most memory that one call of the tool took, in MiB."""
    wrong = []

    def run(*words, status=0):
        result = subprocess.run([tool, *words], capture_output=True, text=True, timeout=600)
        if result.returncode != status:
            wrong.append(f"{shlex.join(words)}: {result.returncode}: {(result.stdout + result.stderr)[:500]}")
        return result.stdout

    def expect(what, found, expected):
        if found != expected:
            wrong.append(f"{what}: {found!r:.300}, expected {expected!r}")

    def write(name, text):
        with open(os.path.join(folder, name), "w") as file:
            file.write(text)
        return file.name

    # Of IPv4, as every other number is.
    middle = count // 2 & ~1
    neighbour = address(middle).rsplit(".", 1)[0] + "." + str(int(address(middle).rsplit(".", 1)[1]) + 1)

    def policy(name, left_out=None):
        listed = write(f"{name}.txt", "".join(f"{address(n)}\n" for n in range(count) if n != left_out))
        # An address of the list by itself is decided before; its neighbour is not; and of all others the list says nothing.
        return write(f"{name}.yaml", HEAD + f"lists: {{ bad: {{ addresses-file: {listed} }} }}\nrules:\n" + RULE.format("Listed", "deny", "bad", ", priority: 1")
                     + RULE.format("One", "deny", f'"{address(middle)}"', "") + RULE.format("Neighbour", "deny", f'"{neighbour}"', "")
                     + RULE.format("Others", "allow", "{ not: bad }", ", destination: { ports: 22 }")
                     + RULE.format("None", "allow", "bad", ", destination: { ports: 23 }"))

    missing = middle - 2
    whole, less = policy("whole"), policy("less", left_out=missing)
    rules = {each["rule"]: each for each in json.loads(run("check", whole, "--rules", "--json"))["rules"] if not each["built_in"]}
    expect("check", {name: each["answer"] for name, each in rules.items()},
           {"Listed": "effective", "One": "covered", "Neighbour": "effective", "Others": "effective", "None": "covered"})

    def decided(path, source, status=2):
        end = "192.0.2.10:22" if "." in source else "[2001:db8::10]:22"
        start = f"{source}:40000" if "." in source else f"[{source}]:40000"
        steps = json.loads(run("explain", "--policy", path, "--json", "--direction", "incoming", "--interface", "eth0", "--tcp", start, end, status=status))["steps"]
        return next((step.split('"')[1] for step in steps if step.startswith("decides: ")), None)

    for number in (0, 1, middle, count - 2, count - 1):
        expect(f"explain {address(number)}", decided(whole, address(number)), "Listed")
    expect("explain its neighbour", decided(whole, neighbour), "Neighbour")
    expect("explain another one", decided(whole, "198.51.100.7", status=0), "Others")
    expect("diff of the same", run("diff", whole, whole), "rules: equivalent\n")
    answer = json.loads(run("diff", whole, less, "--json", status=2))
    expect("diff", answer["verdict"], "more permissive")
    for difference in answer["differences"]:
        if f"--tcp {address(missing)}:" not in difference["witness"]:
            wrong.append(f"diff: {difference}")
        # Segments that open nothing are refused for want of their connection.
        passes = difference["new"] == "admit" and difference["witness"].endswith("--flags syn")
        run("explain", "--policy", less, *shlex.split(difference["witness"]), status=0 if passes else 2)
    if not answer["differences"]:
        wrong.append("diff: the address that is left out")
    return wrong, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10


def ask_of_many(tool, folder, count, ports):
    """The same of two rules for each port, with lists that are all long and all different, in a policy and in the one in its place."""
    # Of IPv4, as every other number is: one that is refused no more, and one that is from now on.
    freed, caught = address(count // 2 & ~1), address(count // 2 + 10 & ~1)

    def policy(name, left_out, *more):
        path = os.path.join(folder, name)
        for listed, numbers in (("bad", range(count)), ("worse", range(10, 2 * count, 3))):
            with open(f"{path}.{listed}", "w") as file:
                file.writelines(f"{text}\n" for text in (*more, *map(address, numbers)) if text not in left_out)
        with open(f"{path}.yaml", "w") as file:
            file.write(HEAD + f"lists: {{ bad: {{ addresses-file: {path}.bad }}, worse: {{ addresses-file: {path}.worse }} }}\nrules:\n")
            for port in range(1, ports + 1):
                file.write(RULE.format(f"Bad-{port}", "deny", "bad", f", priority: 1, destination: {{ ports: {port} }}"))
                file.write(RULE.format(f"Others-{port}", "allow", "{ not: worse }", f", destination: {{ ports: {port} }}"))
        return file.name

    old, new = policy("old", (freed, caught)), policy("new", (freed,), caught)
    # Only one of the two lists has had each before.
    with open(os.path.join(folder, "old.bad"), "a") as file:
        file.write(f"{freed}\n")
    result = subprocess.run([tool, "diff", old, new, "--json", "--limit", "100000"], capture_output=True, text=True, timeout=600)
    if result.returncode != 2:
        return [f"diff: {result.returncode}: {(result.stdout + result.stderr)[:500]}"], 0
    answer, wrong = json.loads(result.stdout), []
    if not answer["complete"] or answer["verdict"] != "more permissive and more restrictive":
        wrong.append(f"diff: {answer['verdict']}")
    found = set()
    for each in answer["differences"]:
        start, end = each["witness"].split(" --tcp ")[1].split()[:2]
        source, port, opens = start.rsplit(":", 1)[0], int(end.rsplit(":", 1)[1]), each["new"] == "admit"
        found.add((source, port, opens))
        decided = ("drop", "admit") if opens else ("admit", each["new"])
        if (each["old"], each["new"]) != decided:
            wrong.append(f"diff: {each}")
    expected = {(source, port, opens) for port in range(1, ports + 1) for source, opens in ((freed, True), (caught, False))}
    if found != expected:
        wrong.append(f"diff finds {sorted(found - expected)[:5]} and not {sorted(expected - found)[:5]}")
    return wrong, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10

#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the manual pages from what the programs say of themselves: their command lines, the schemas of the policy
and of the events, the table of reasons. Only what no program knows stands in the files *.man beside this one, and is added to the page of that
name before SEE ALSO."""

import argparse
import email.utils
import json
import pathlib
import re
import subprocess

HERE = pathlib.Path(__file__).parent
CHANGELOG = HERE.parent / "debian/changelog"


def date_of_release():
    """The day of the newest changelog entry, so that the same source gives the same pages."""
    line = next(line for line in CHANGELOG.read_text().splitlines() if line.startswith(" -- "))
    return email.utils.parsedate_to_datetime(line.split("  ", 1)[1]).strftime("%Y-%m-%d")


def plain(text):
    """Text as roff: nothing in it is a request, an escape or a typographic hyphen."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    escaped = escaped.replace("^", "\\(ha").replace("~", "\\(ti")
    return "\n".join("\\&" + line if line.startswith(".") else line for line in escaped.splitlines())


def paragraphs(text):
    return "\n.PP\n".join(plain(re.sub(r"\s+", " ", part).strip()) for part in text.split("\n\n"))


def blocks(discussion):
    """What a command says of itself, apart from its examples and exit statuses: (text, examples, statuses)."""
    found = {"Examples:": [], "Exit status:": []}
    text = []
    for part in discussion.split("\n\n"):
        title, _, rest = part.partition("\n")
        if title in found:
            found[title] = rest.splitlines()
        elif part:
            text.append(part)
    return "\n\n".join(text), found["Examples:"], found["Exit status:"]


def add_examples(page, lines):
    if lines:
        page.heading("EXAMPLES")
    for line in lines:
        if line.startswith(" " * 6):
            page.text(plain(line.strip()))
        else:
            page.text(".TP", f"\\fB{plain(line.strip())}\\fR")


def add_exit_statuses(page, lines):
    if lines:
        page.heading("EXIT STATUS")
    for line in lines:
        status, _, meaning = line.strip().partition(" ")
        page.text(".TP", f"\\fB{status}\\fR", plain(meaning.strip()))


class Page:
    """One manual page while it is written."""

    def __init__(self, name, section, abstract):
        self.name = name
        self.section = section
        self.lines = [f'.TH {name.upper()} {section} {date_of_release()} "Portreeve" "Portreeve"']
        self.lines += [".SH NAME", f"{plain(name)} \\- {plain(abstract.rstrip('.'))}"]

    def heading(self, title):
        self.lines.append(f".SH {title}")

    def text(self, *lines):
        self.lines += lines

    def save(self, folder, see_also):
        own = HERE / f"{self.name}.{self.section}.man"
        if own.exists():
            self.lines.append(own.read_text().rstrip())
        others = [page for page in see_also if page != (self.name, self.section)]
        self.heading("SEE ALSO")
        self.lines.append(",\n".join(f"\\fB{plain(name)}\\fR({section})" for name, section in others))
        (folder / f"{self.name}.{self.section}").write_text("\n".join(self.lines) + "\n")


def shown(arguments):
    return [argument for argument in arguments if argument["shouldDisplay"]]


def spelled(name):
    return ("--" if name["kind"] == "long" else "-") + name["name"]


def usage(argument):
    """An argument as the synopsis shows it."""
    value = f"\\fI{plain(argument.get('valueName', ''))}\\fR"
    if argument["kind"] == "positional":
        text = value
    else:
        text = f"\\fB{plain(spelled(argument['preferredName']))}\\fR"
        if argument["kind"] == "option":
            text += f" {value}"
    text += " ..." if argument["isRepeating"] else ""
    return f"[{text}]" if argument["isOptional"] else text


def synopsis(arguments):
    """Flags of which one must be given stand as a choice; everything else in its order."""
    choice = [usage(each) for each in arguments if each["kind"] == "flag" and not each["isOptional"]]
    rest = [usage(each) for each in arguments if each["kind"] != "flag" or each["isOptional"]]
    return ([" | ".join(choice)] if choice else []) + rest


def describe(argument):
    """An argument as the list of options shows it."""
    value = f"\\fI{plain(argument.get('valueName', ''))}\\fR"
    if argument["kind"] == "positional":
        head = value
    else:
        head = ", ".join(f"\\fB{plain(spelled(name))}\\fR" for name in argument["names"])
        if argument["kind"] == "option":
            head += f" {value}"
    text = " ".join(filter(None, [argument.get("abstract"), argument.get("discussion")]))
    remarks = []
    if argument.get("allValues"):
        remarks.append("One of " + ", ".join(argument["allValues"]) + ".")
    if argument.get("defaultValue"):
        remarks.append(f"Default: {argument['defaultValue']}.")
    return [".TP", head, plain(" ".join([text] + remarks)) or "\\&"]


def page_of_command(command, name):
    page = Page(name, 8, command.get("abstract", ""))
    arguments = shown(command.get("arguments", []))
    page.heading("SYNOPSIS")
    words = [f"\\fB{plain(name.replace('portreeve-', 'portreeve ', 1))}\\fR"]
    subcommands = listed(command)
    if subcommands:
        words.append("\\fIsubcommand\\fR")
    page.text(" ".join(words + synopsis(arguments)))
    page.heading("DESCRIPTION")
    page.text(paragraphs(command.get("abstract", "")))
    text, examples, statuses = blocks(command.get("discussion", ""))
    if text:
        page.text(".PP", paragraphs(text))
    if subcommands:
        page.heading("SUBCOMMANDS")
        for each in subcommands:
            page.text(".TP", f"\\fBportreeve\\-{plain(each['commandName'])}\\fR(8)", plain(each["abstract"]))
    page.heading("OPTIONS")
    for argument in arguments:
        page.text(*describe(argument))
    add_examples(page, examples)
    add_exit_statuses(page, statuses)
    return page


def listed(command):
    """The subcommands that are meant for people, without the parser's own `help`."""
    return [each for each in command.get("subcommands", []) if each["shouldDisplay"] and each["commandName"] != "help"]


def ask(program, *arguments):
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout


def add_reasons(page, rows):
    page.heading("REASONS")
    for row in rows:
        page.text(".TP", f"{row['id']} \\fB{plain(row['reason'])}\\fR", plain(f"{row['name']} (stage {row['stage']})."))
        page.text(plain(f"Raised when: {row['raised_when']}."))
        for cause in row["causes"]:
            page.text(".br", plain(f"{cause['sentence'][0].upper()}{cause['sentence'][1:]}: {cause['turned_by']}."))
        if row["advice"]:
            page.text(".br", plain(f"Advice: {row['advice']}."))
        if not row["available"]:
            page.text(".br", "Not available in this version.")


def add_results(page, rows):
    page.heading("RESULTS")
    for row in rows:
        page.text(".TP", f"\\fB{plain(row['category'])}\\fR {plain(row['detail'])}", plain(
            f"{row['meaning'][0].upper()}{row['meaning'][1:]} ({', '.join(row['protocols'])}; {row['title']}, {row['code']})."))


def value_text(schema):
    """What a value may be, in the words of the parser's own messages."""
    parts = [schema, *schema.get("anyOf", [])]
    texts = [part["errorMessage"].removeprefix("expected ") for part in parts if "errorMessage" in part]
    mapping = " or a mapping" if any("properties" in part for part in schema.get("anyOf", [])) else ""
    return texts[0] + mapping if texts else ""


def settings(schema, path=""):
    """Every key below a mapping but the lists, schedules and rules: (full name, schema), in the order of the table."""
    for key, value in schema["properties"].items():
        name = f"{path}{key}"
        if name in ("version", "lists", "schedules", "rules"):
            continue
        if "description" in value:
            yield name, value
        for inner in [value, *value.get("anyOf", [])]:
            if "properties" in inner:
                yield from settings(inner, f"{name}.")


def add_settings(page, schema):
    for name, value in settings(schema):
        page.text(".TP", f"\\fB{plain(name)}\\fR", plain(value["description"]))
        facts = []
        if value_text(value):
            facts.append(f"Values: {value_text(value)}.")
        if "default" in value:
            facts.append(f"Default: {default_text(value)}.")
        if facts:
            page.text(".br", plain(" ".join(facts)))


def default_text(schema):
    return json.dumps(schema["default"]).replace(chr(34), "")


def page_of_policy(schema):
    page = Page("portreeve-policy", 5, "The policy of the Portreeve firewall")
    page.text((HERE / "policy-introduction.man").read_text().rstrip())
    page.heading("SETTINGS")
    page.text("A dot stands for one mapping inside another.")
    add_settings(page, schema)
    return page


def add_keys(page, schema, path):
    """Every key of a record, by its full name, in the order in which they are written."""
    for key, value in schema["properties"].items():
        page.text(".TP", f"\\fB{plain(path + key)}\\fR", plain(value["description"]))
        words = value.get("enum", [])
        if words and path + key not in ("portreeve.id", "drop.reason", "portreeve.reason"):
            page.text(".br", plain(f"Values: {' | '.join(words)}."))
        if "properties" in value:
            add_keys(page, value, f"{path}{key}.")


def page_of_events(schema):
    page = Page("portreeve-event-record", 5, "The records of the Portreeve firewall's events")
    page.text((HERE / "events-introduction.man").read_text().rstrip())
    page.heading("KEYS")
    page.text("A dot stands for one object inside another. Reasons and their numbers are explained in "
              "\\fBportreeve\\-reasons\\fR(8).")
    add_keys(page, schema, "")
    return page


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", type=pathlib.Path, required=True, help="the folder of the programs")
    parser.add_argument("--to", type=pathlib.Path, required=True, help="the folder for the pages")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)

    tool, agent = options.bin / "portreeve", options.bin / "portreeved"
    command = json.loads(ask(tool, "--experimental-dump-help"))["command"]
    pages = [
        page_of_command(json.loads(ask(agent, "--experimental-dump-help"))["command"], "portreeved"),
        page_of_command(command, "portreeve"),
    ]
    for each in listed(command):
        page = page_of_command(each, f"portreeve-{each['commandName']}")
        if each["commandName"] == "reasons":
            add_reasons(page, [json.loads(line) for line in ask(tool, "reasons", "--json").splitlines()])
        if each["commandName"] == "scan":
            add_results(page, [json.loads(line) for line in ask(tool, "scan", "--categories", "--json").splitlines()])
        pages.append(page)
    pages.append(page_of_policy(json.loads(ask(tool, "schema"))))
    pages.append(page_of_events(json.loads(ask(tool, "schema", "--events"))))
    names = [(page.name, page.section) for page in pages]
    for page in pages:
        page.save(options.to, names)


if __name__ == "__main__":
    main()

"""Runs the commands of a document in order, and compares their outputs with the document. Each
command must succeed.

    document.py DOCUMENT [--record]

Commands are lines in `console` blocks that start with `$ `. A line that starts with `> `, or that
follows a backslash, continues the command. Times, durations, sizes and ids are normalized. A line
`…` matches any number of lines. `--record` replaces outputs in the document that differ.

A comment `<!-- run: COMMAND -->` is run like a command, but its output is not compared.
PORT_OFFSET is added to the ports in the commands, and COMPOSE_PROJECT_NAME replaces `microblog` in
the name of the volume, so that a running system is not affected.
"""

import os
import re
import subprocess
import sys

path = sys.argv[1]
record = "--record" in sys.argv
offset = int(os.environ.get("PORT_OFFSET", "0"))
project = os.environ.get("COMPOSE_PROJECT_NAME", "microblog")
LIMIT = 900

VARIES = [
    (r"\b\d+m\d+(\.\d+)?s\b", "N"),
    (r"\d{8}T\d{6}(\.\d+)?Z", "STAMP"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?", "TIME"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"run-[0-9a-f]{12}", "run-ID"),
    (r"\b[0-9a-f]{12,64}\b", "ID"),
    (r"\b\d+(\.\d+)?( ?(ms|seconds?|minutes?|s|m|KiB|MiB|kB|MB|B|bytes|%))(?![\w])", "N"),
    (r"(\"(elapsed|duration|took|bytes|millis|ms)\w*\": ?)\d+(\.\d+)?", r"\1N"),
    (r"About a \w+|Less than a \w+", "N"),
    (r"\(health: starting\)|\(healthy\)", "(health)"),
]


def normal(line):
    for pattern, instead in VARIES:
        line = re.sub(pattern, instead, line)
    return " ".join(line.split())


def moved(text, to):
    """Maps the ports of the document to those of this run, or back if `to` is 0."""
    for port in range(50050, 50060):
        here, there = (port, port + offset) if to else (port + offset, port)
        text = re.sub(rf"\b{here}\b", str(there), text)
    return text


def parts(text):
    """Splits a document into ("text", line), ("hidden", line, command), ("command", [lines], [output])."""
    lines, inside = text.splitlines(), False
    for line in lines:
        hidden = re.fullmatch(r"<!-- run: (.*) -->", line)
        if line == "```console":
            inside, command = True, None
            yield ["text", line]
        elif inside and line == "```":
            if command:
                yield command
            inside = False
            yield ["text", line]
        elif inside and line.startswith("$ "):
            if command:
                yield command
            command = ["command", [line], []]
        elif inside and (line.startswith("> ") or (not command[2] and command[1][-1].endswith("\\"))):
            command[1].append(line)
        elif inside:
            command[2].append(line)
        else:
            yield ["hidden", line, hidden[1]] if hidden else ["text", line]


def run(lines):
    words = "\n".join(line.removeprefix("$ ").removeprefix("> ") for line in lines)
    words = words.replace("microblog_data", f"{project}_data")
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", moved(words, offset)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT,
    )
    printed = done.stdout.decode(errors="replace").replace(project, "microblog")
    # Compose writes escape sequences that erase a line before it prints a log line.
    printed = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", moved(printed, 0))
    return printed.rstrip("\n").splitlines(), done.returncode


def fits(expected, printed):
    """Reports whether the lines match the expected ones, where `…` matches any number of lines."""
    if not expected:
        return not printed
    if expected[0] == "…":
        return any(fits(expected[1:], printed[at:]) for at in range(len(printed) + 1))
    return bool(printed) and expected[0] == printed[0] and fits(expected[1:], printed[1:])


written, commands, wrong = [], 0, 0
with open(path, encoding="utf-8") as document:
    pieces = list(parts(document.read()))
for piece in pieces:
    if piece[0] == "text":
        written.append(piece[1])
        continue
    lines = piece[1] if piece[0] == "command" else ["$ " + piece[2]]
    print("\n".join(lines), flush=True)
    printed, code = run(lines)
    print("\n".join(printed), flush=True)
    commands += 1
    if piece[0] == "hidden":
        assert code == 0, f"exit code {code}"
        written.append(piece[1])
        continue
    expected = [normal(line) for line in piece[2]]
    right = code == 0 and fits(expected, [normal(line) for line in printed])
    written += lines + (printed if record and not right else piece[2])
    if record:
        wrong += code != 0
    elif not right:
        wrong += 1
        print(f"WRONG, exit code {code}. Expected:", *piece[2], sep="\n    ")
        print("Compared as:", *[normal(line) for line in printed], sep="\n    ", flush=True)
if record:
    with open(path, "w", encoding="utf-8") as document:
        document.write("\n".join(written) + "\n")
print(f"{commands} commands, {wrong} of them failed or printed a different output")
assert commands > 0 and wrong == 0

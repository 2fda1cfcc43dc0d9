"""Runs the `$ grpcurl …` commands of a document against other addresses, and compares their outputs
with the document, if it shows one. Times are normalized."""

import re
import shlex
import subprocess
import sys

document, grpcurl, users, posts = sys.argv[1:]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
STREAM = "WatchPosts"


def console_calls(text):
    """Yields each command with the lines below it."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        command, output = None, []
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                if command:
                    yield command, output
                command, output = line[2:], []
            else:
                output.append(line)
        if command:
            yield command, output


def normal(text):
    return " ".join(TIME.sub("TIME", text).split())


number = 0
for command, expected in console_calls(open(document, encoding="utf-8").read()):
    if not command.startswith("grpcurl "):
        continue
    words = shlex.split(command)[1:]
    swap = {"127.0.0.1:50051": users, "127.0.0.1:50052": posts}
    words = [swap.get(word, word) for word in words]
    # A stream has no end: reads only its start.
    limit = ["-max-time", "2" if STREAM in command else "10"]
    done = subprocess.run([grpcurl, *limit, *words], capture_output=True, text=True)
    printed = done.stdout + done.stderr
    print(f"$ {command}\n{printed}")
    number += 1
    if expected:
        assert normal(printed) == normal("\n".join(expected)), expected
    elif STREAM in command:
        assert "my first post!" in printed, printed
    else:
        assert done.returncode == 0, printed
assert number >= 5, f"only {number} calls found"
print(f"{number} calls")

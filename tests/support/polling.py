"""A process that reads the tables whenever they change and says what they lacked.

The kernel tells of each commit to nft tables; those of the legacy backend are read all the time.

It is told, as JSON on its command line, for each program that prints tables which rules must be in
them. It writes a line as soon as it has read once, one for each reading that lacked something, and
at the end of its standard input how often it read.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys

from nptables.kernel.tables.nft_generation import generation

# Seconds between two questions whether there was a commit; to read the tables takes longer.
_PAUSE = 0.001


def rules_by_table(text: str) -> list[str]:
    """The rules of a dump, each after the name of its table."""
    found, table = [], ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("-A "):
            found.append(f"{table}: {line}")
    return found


def main(needed: dict[str, list[str]]) -> None:
    """Read until standard input has ended, and once more then."""
    wanted = {program: frozenset(lines) for program, lines in needed.items()}
    polls, over, pause = 0, False, 0.0
    read: dict[str, int | None] = {}
    while not over:
        over = bool(select.select([sys.stdin], [], [], pause)[0])
        pause = _PAUSE
        for program, lines in wanted.items():
            state = generation() if "-nft-" in program else None
            if state is not None and state == read.get(program) and not over:
                continue
            read[program], pause = state, 0.0
            text = subprocess.run([program], capture_output=True, text=True, check=True).stdout
            lacking = sorted(lines.difference(rules_by_table(text)))
            if lacking:
                print(json.dumps({"program": program, "lacking": lacking}), flush=True)  # noqa: T201
        polls += 1
        if polls == 1:
            print(json.dumps({"reading": True}), flush=True)  # noqa: T201
    print(json.dumps({"polls": polls}))  # noqa: T201


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

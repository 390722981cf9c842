#!/usr/bin/env python3
"""A stand-in for `helm template`, for where Helm's own engine is not at hand.

It knows `.Values.NAME` and `.Release.Name` between braces, `fail`, and the comment that says where
a manifest comes from. What it prints is shaped as Helm prints it; it proves how the program is
called and how its output is read, and nothing about templates.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def values_of(file: Path) -> dict[str, str]:
    """Read the lines `key: value` of a file."""
    pairs = (line.partition(": ") for line in file.read_text().splitlines())
    return {key: value for key, colon, value in pairs if colon}


def main(arguments: list[str]) -> int:
    """Print what the templates of a chart become."""
    assert arguments[0] == "template", arguments
    release, chart, *options = arguments[1:]
    values = values_of(Path(chart, "values.yaml"))
    while options:
        assert options.pop(0) == "--values"
        values |= values_of(Path(options.pop(0)))
    name = values_of(Path(chart, "Chart.yaml"))["name"]
    for template in sorted(Path(chart, "templates").glob("*.yaml")):
        text = template.read_text()
        if "{{ fail" in text:
            sys.stderr.write("Error: execution error at: alone\n")
            return 1
        text = text.replace("{{ .Release.Name }}", release)
        text = re.sub(r"{{ \.Values\.(\w+) }}", lambda match: values[match[1]], text)
        for part in text.split("---\n"):
            sys.stdout.write(f"---\n# Source: {name}/templates/{template.name}\n{part}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The commands and programs in the code blocks of the pages, and files to run them with."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.scenarios import FIXTURES

ROOT = FIXTURES.parent
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
TUTORIAL = FIXTURES / "tutorial" / "two-nodes.yaml"
PROGRAMS = (
    *("nptables", "sudo", "kubectl", "iptables-save", "helm", "pip", "git", "make", "python"),
    *(".venv/bin/python", "podman", "docker", "systemctl", "readlink"),
)
# Commands that are for root on a node, with or without options.
ROOTS = ("apply", "cleanup", "confirm", "snapshot")
_COMMAND = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:{'|'.join(map(re.escape, PROGRAMS))}) ")


@dataclass(frozen=True)
class Command:
    """A command as it is written, without the comment behind it."""

    text: str
    place: str

    @property
    def needs_root(self) -> bool:
        """Whether it reads or changes the tables of a node."""
        words = self.text.removeprefix("sudo ").split()
        return words[:2] in (["nptables", name] for name in ROOTS) or (
            words[0] == "nptables" and "--live" in words
        )


def commands() -> list[Command]:
    """Every command in a code block, in the order of reading."""
    return [command for page in PAGES for command in _commands(page)]


def python_blocks(page: Path) -> list[str]:
    """The fenced Python programs of a page."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def _commands(page: Path) -> list[Command]:
    found = []
    pending = ""
    for number, line in _code_lines(page):
        text = f"{pending}\n{line}" if pending else line
        pending = ""
        if not _COMMAND.match(f"{text} "):
            continue
        try:
            shlex.split(text, comments=True)
        except ValueError:  # a quote that is closed in a further line
            pending = text
            continue
        found.append(Command(_without_comment(text), f"{page.name}:{number}"))
    return found


def _without_comment(text: str) -> str:
    return re.sub(r"\s+# [^'\"]*$", "", text)


def _code_lines(page: Path) -> list[tuple[int, str]]:
    """The lines of fenced blocks without a language, and of indented ones."""
    found = []
    fence: str | None = None
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            fence = line[3:] if fence is None else None
        elif fence in ("", "sh", "bash"):
            found.append((number, line))
        elif fence is None and line.startswith("    "):
            found.append((number, line[4:]))
    return found


_MORE_NODES = """
---
apiVersion: v1
kind: Node
metadata: {name: worker-1}
status: {addresses: [{type: InternalIP, address: 192.168.0.13}]}
---
apiVersion: v1
kind: Node
metadata: {name: worker-2}
status: {addresses: [{type: InternalIP, address: 192.168.0.14}]}
"""


def write_files(folder: Path) -> list[dict[str, Any]]:
    """Write the files that the pages name; returns the objects that all of them hold.

    They are those of the tutorial, and Nodes of the other names that the pages use.
    """
    text = TUTORIAL.read_text() + _MORE_NODES
    objects = list(yaml.safe_load_all(text))
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    (folder / "cluster.json").write_text(json.dumps(listed))
    for name in ("web.yaml", "services.yaml", "manifests/a.yaml", "old/a.yaml", "new/a.yaml"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (folder / "kube-proxy.yaml").write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
    )
    return objects

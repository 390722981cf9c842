"""The commands and programs in the code blocks of the pages, and files to run them with."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import attrs
import yaml

from tests.support.scenarios import FIXTURES

ROOT = FIXTURES.parent
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
TUTORIAL = FIXTURES / "tutorial" / "two-nodes.yaml"
PROGRAMS = (
    *("nptables", "sudo", "kubectl", "iptables-save", "helm", "pip", "git", "make", "python"),
    *("pipx", "uv", "dask", ".venv/bin/python", "podman", "docker", "systemctl", "readlink"),
)
# Commands that are for root on a node, with or without options.
ROOTS = ("apply", "cleanup", "confirm", "snapshot")
_COMMAND = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:{'|'.join(map(re.escape, PROGRAMS))}) ")


_FENCE = re.compile(r"(?P<fence>`{3,})(?P<language>\S*)")


@attrs.frozen
class Command:
    """A command as it is written, without the comment behind it."""

    text: str
    place: str

    @property
    def needs_root(self) -> bool:
        """Whether it reads or changes the tables of a node."""
        words = self.text.removeprefix("sudo ").split()
        if words[1:2] == ["snapshot"] and "--from" in words:  # a bundle instead of this node
            return False
        return words[:2] in (["nptables", name] for name in ROOTS) or (
            words[0] == "nptables" and "--live" in words
        )


@attrs.frozen
class Block:
    """A block of code, and where its first line stands."""

    language: str
    text: str
    page: Path
    line: int

    @property
    def place(self) -> str:
        """The page and the line, as people write it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def commands() -> list[Command]:
    """Every command in a code block, in the order of reading."""
    return [command for page in PAGES for command in _commands(page)]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language on a page."""
    return [block.text for block in code(page) if block.language == language]


def code(page: Path) -> list[Block]:
    """Every block of code on a page: fenced ones by their language, indented ones as "indented"."""
    found: list[Block] = []
    fence = ""
    lines: list[str] = []
    before = ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if fence and line.strip() == fence:
            found[-1] = attrs.evolve(found[-1], text="".join(lines))
            fence = ""
        elif fence:
            lines.append(f"{line}\n")
        elif start := _FENCE.match(line):
            fence, lines = start["fence"], []
            found.append(Block(start["language"], "", page, number + 1))
        elif line.startswith("    ") and not before.strip():
            found.append(Block("indented", line, page, number))
        before = line
    assert not fence, f"{page.name} ends within a block"
    return found


def lines_that_are_no_commands() -> list[str]:
    """What stands in a block of commands and begins with none of the programs that are known."""
    return [line for page in PAGES for line in _read(page)[1]]


def _commands(page: Path) -> list[Command]:
    return _read(page)[0]


def _read(page: Path) -> tuple[list[Command], list[str]]:
    found, others = [], []
    for block in (each for each in code(page) if each.language == "sh"):
        pending = ""
        for number, line in enumerate(block.text.splitlines(), block.line):
            text = f"{pending}\n{line}" if pending else line
            pending = ""
            if not _COMMAND.match(f"{text} "):
                others.append(f"{page.name}:{number}: {line}")
                continue
            try:
                shlex.split(text, comments=True)
            except ValueError:  # a quote that is closed in a further line
                pending = text
                continue
            found.append(Command(_without_comment(text), f"{page.name}:{number}"))
        if pending:
            others.append(f"{page.name}:{block.line}: {pending}")
    return found, others


def _without_comment(text: str) -> str:
    return re.sub(r"\s+# [^'\"]*$", "", text)


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
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: default}
spec: {nodeName: node2, containers: [{name: client, image: busybox}]}
status: {phase: Running, podIP: 10.233.65.9, podIPs: [{ip: 10.233.65.9}]}
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

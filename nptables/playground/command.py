"""The same on a machine: the command line for what is on the screen, and the files it needs."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterator
from typing import Any

import attrs

from nptables.errors import InvalidInput
from nptables.family import Family
from nptables.playground.choices import choices
from nptables.playground.reading import Reader, is_about_all_nodes
from nptables.playground.state import CONFIG, FACTS, Held, State
from nptables.sources.evidence import Beside, beside_rules
from nptables.sources.uploaded_files import stand_for_a_tree

# What has to be put in by hand where there is nothing to send a packet to.
_NO_DESTINATION = "ADDRESS:PORT"
_FOLDER = "nptables-playground"
_UNSAFE = re.compile(r"[^\w.@+,=:-]+", re.ASCII)
# Other characters are lost on the way from a page to a terminal.
_PLAIN = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]*")


def command_of(reader: Reader, state: State) -> dict[str, Any]:
    """The command, and a script that writes its files into a new folder first.

    It names what the page takes where nothing is chosen. Names of files are made harmless: none is
    written outside of the folder, whatever a link says.
    """
    try:
        there = choices(reader, state)
        node = "" if is_about_all_nodes(reader, state) else there["node"]
    except InvalidInput:
        # What is wrong with the input is best seen by running the command.
        return _written(state, state.node)
    first = next((end["value"] for end in there["destinations"]), _NO_DESTINATION)
    named = attrs.evolve(
        state,
        destination=state.destination or first,
        service=state.service or next(iter(there["services"]), ""),
    )
    return _written(named, node)


def _written(state: State, node: str) -> dict[str, Any]:
    files = _Files()
    words = _words(state, node, files)
    command = shlex.join(["nptables", *words])
    return {
        "command": command,
        "files": list(files.written),
        "script": "\n".join([
            f"mkdir {_FOLDER} && cd {_FOLDER} || exit",
            *(line for name, data in files.written.items() for line in _lines(name, data)),
            command,
            "",
        ]),
    }  # fmt: skip


@attrs.define
class _Files:
    """The files of a script by names that are safe, each once."""

    written: dict[str, str | bytes] = attrs.field(factory=dict)

    def add(self, name: str, data: str | bytes, folder: str = "") -> str:
        """The name under which a file is written."""
        parts = (_UNSAFE.sub("_", part).lstrip("-") for part in name.split("/"))
        kept = [part for part in parts if part not in ("", "_", "..", ".")]
        path = "/".join([*([folder] if folder else []), *(kept or ["input"])])
        found, number = path, 1
        while found in self.written:
            number += 1
            above, _, last = path.rpartition("/")
            found = f"{above}/{number}-{last}" if above else f"{number}-{last}"
        self.written[found] = data
        return found


def _lines(name: str, data: str | bytes) -> Iterator[str]:
    """The lines of a script that write a file."""
    if folder := name.rpartition("/")[0]:
        yield f"mkdir -p {shlex.quote(folder)}"
    if isinstance(data, bytes) or not _PLAIN.fullmatch(data):
        raw = data if isinstance(data, bytes) else data.encode()
        yield f"base64 -d > {shlex.quote(name)} <<'END'"
        yield base64.encodebytes(raw).decode().rstrip("\n")
        yield "END"
        return
    end = "END"
    lines = set(data.split("\n"))
    while end in lines:
        end += "_"
    yield f"cat > {shlex.quote(name)} <<'{end}'"
    yield data.removesuffix("\n")
    yield end


def _words(state: State, node: str, files: _Files) -> list[str]:
    """The command line for the view."""
    view = state.view
    if view == "changes" and state.before is not None:
        old = [files.add(held.name, held.data, "before") for held in state.before.files]
        new = [files.add(held.name, held.data, "after") for held in state.files]
        sides = [_side("before", old), _side("after", new)]
        return ["diff", *sides, *_about_node(state, node, files), "--effects"]
    manifests = _manifests(state, files)
    about = _about_node(state, node, files)
    evidence = list(_evidence(state, node, files))
    family = ["-6"] if state.family is Family.IPV6 else []
    if view == "rules":
        return ["render", *manifests, *about, *family]
    if view == "graph":
        return ["graph", state.service, *manifests, *about, *family, "-o", "svg"]
    if view == "trace":
        ends = ["--from", state.source or "outside", "--to", state.destination]
        return ["trace", *manifests, *about, *family, *evidence, *ends, "--path"]
    if view == "reach":
        config = _about_node(state, "", files, facts=False)
        source = ["--from", state.source] if state.source else []
        return ["reach", *manifests, *config, *source]
    if view == "changes":
        return ["diff", *manifests, *about, *evidence, "--effects"]
    return ["check", *manifests, *about, *evidence]


def _manifests(state: State, files: _Files) -> list[str]:
    """The files, or the folders that they are in, which no program is to render here either."""
    names = [files.add(held.name, held.data) for held in state.files]
    if not stand_for_a_tree((held.name, held.data) for held in state.files):
        return names
    return [*dict.fromkeys(name.partition("/")[0] for name in names), "--no-render"]


def _side(name: str, files: list[str]) -> str:
    """One file, or the folder of several."""
    return files[0] if len(files) == 1 else name


def _about_node(state: State, node: str, files: _Files, *, facts: bool = True) -> Iterator[str]:
    if node:
        yield from ("--node", node)
    if state.config.strip():
        yield from ("--config", files.add(CONFIG, state.config))
    if facts and state.facts.strip():
        yield from ("--facts", files.add(FACTS, state.facts))
    if state.version:
        yield from ("--kube-proxy-version", state.version)


def _evidence(state: State, node: str, files: _Files) -> Iterator[str]:
    """The options for evidence: a file of rules that is called as the node, or the first, is its.

    Others name their node.
    """
    kinds = [_kind(held) for held in state.evidence]
    pairs = list(zip(state.evidence, kinds, strict=True))
    rules = [held for held, kind in pairs if kind is None]
    snapshot = next((held for held in rules if held.stem == node), next(iter(rules), None))
    for held, kind in pairs:
        name = files.add(held.name, held.data, "evidence")
        if kind is Beside.CONNECTIONS and state.view in ("findings", "trace"):
            yield from ("--conntrack", name)
        elif held is snapshot:
            yield from ("--snapshot", name)
        elif state.view == "trace" and kind is Beside.SETS and snapshot is not None:
            yield from ("--sets", name)
        elif state.view == "trace" and kind is None:
            yield from ("--other", f"{held.stem}={name}")


def _kind(held: Held) -> Beside | None:
    return beside_rules(held.data) if isinstance(held.data, str) else None

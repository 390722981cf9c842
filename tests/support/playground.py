"""The two fronts side by side: what the bridge answers, and what the command line prints."""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from nptables.cli import main
from nptables.playground import answer
from tests.support.scenarios import FIXTURES

CONFIG, FACTS = "kube-proxy.yaml", "facts.yaml"
_CASES = FIXTURES / "cases"
_MANIFESTS = (FIXTURES / "manifests", FIXTURES / "manifests-as-found", FIXTURES / "tutorial")
_NO_MANIFESTS = ("kp.yaml", "kp2.yaml", "facts.yaml")


@attrs.frozen
class Case:
    """Files that somebody has, by what they are; `name` is where they stand among the fixtures."""

    name: str
    manifest: Path | None = None
    evidence: Path | None = None
    config: Path | None = None
    facts: Path | None = None

    def state(self, **fields: Any) -> dict[str, Any]:
        """The state that holds them."""
        return {
            "version": 1,
            "files": [] if self.manifest is None else [held(self.manifest)],
            "evidence": [] if self.evidence is None else [held(self.evidence)],
            "config": "" if self.config is None else self.config.read_text(),
            "facts": "" if self.facts is None else self.facts.read_text(),
            **fields,
        }

    def written(self, folder: Path) -> list[str]:
        """The options of a command that name them, written into a folder by the bridge's names."""
        options: list[str] = []
        for option, path, called in (
            ("", self.manifest, ""),
            ("--config", self.config, CONFIG),
            ("--facts", self.facts, FACTS),
            ("--snapshot", self.evidence, ""),
        ):
            if path is not None:
                name = called or path.name
                (folder / name).write_bytes(path.read_bytes())
                options += [option, name] if option else [name]
        return options


def held(path: Path) -> dict[str, str]:
    """A file as the page holds it: text where it is any."""
    data = path.read_bytes()
    try:
        return {"name": path.name, "text": data.decode()}
    except UnicodeDecodeError:
        return {"name": path.name, "base64": base64.b64encode(data).decode()}


def cases() -> Iterator[Case]:
    """Every folder of evidence: each manifest alone, and beside each file of the node."""
    for folder in sorted(path for path in _CASES.iterdir() if path.is_dir()):
        yaml = sorted(folder.glob("*.yaml"))
        manifests = [path for path in yaml if path.name not in _NO_MANIFESTS]
        shown = sorted(path for path in folder.iterdir() if path.suffix in (".txt", ".json"))
        evidence = [path for path in shown if path.name not in ("conntrack.txt", "sets.txt")]
        facts = next((path for path in yaml if path.name == FACTS), None)
        configs = [path for path in yaml if path.name.startswith("kp")] or [None]
        for config in configs:
            for manifest in manifests or [None]:
                for dump in [None, *evidence] if manifest is not None else evidence:
                    parts = [path.name for path in (manifest, config, dump) if path is not None]
                    name = f"{folder.name}/{'+'.join(parts)}"
                    yield Case(name, manifest, dump, config, facts)


def manifests() -> Iterator[Case]:
    """Every manifest of the fixtures."""
    for folder in _MANIFESTS:
        for path in sorted(folder.rglob("*.*")):
            if path.suffix in (".yaml", ".json") and "tree" not in path.parts:
                yield Case(str(path.relative_to(FIXTURES)), path)


def asked(ask: str, state: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """What the bridge answers."""
    found: dict[str, Any] = json.loads(answer(json.dumps({"ask": ask, "state": state, **more})))
    return found


def document_of(reply: Mapping[str, Any]) -> Any:
    """The document of an answer, or the problems of a refusal, as the command line prints them."""
    if reply["ok"]:
        return reply["result"]["document"]
    return {"problems": reply["problems"]}


def printed(*words: str, folder: Path) -> Any:
    """What a command prints as JSON, started in a folder."""
    out = io.StringIO()
    quiet = contextlib.redirect_stderr(io.StringIO())
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), quiet:
        main([*words, "-o", "json"])
    return json.loads(out.getvalue())

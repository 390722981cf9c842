"""What an example is: a question, statements that answer it, and what shows that they are true."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import attrs

from nptables.playground.protocol import VERSION, Ask, Before, Example, HeldFile, State, View


@attrs.frozen
class Shown:
    """Where the library says it: what `ask` answers at a place in the result.

    `at` are keys and positions, with dots between them; `*` is each item of a list. What is there
    must be `equals`, or contain the text `has`. A refusal is looked at as a whole. `state` changes
    the state of the example. The page shows none of this: a test looks it up.
    """

    ask: Ask
    at: str
    equals: Any = None
    has: str = ""
    state: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Statement:
    """A part of an answer, in words, and what shows that it is true."""

    text: str
    shown: Shown


@attrs.frozen
class Given:
    """An example as it is written; texts are files of the folder `files`.

    `before` is the file of the marked state, `evidence` that of the node. `web.yaml` is what the
    page calls the manifests.
    """

    id: str
    title: str
    question: str
    answer: tuple[Statement, ...]
    manifests: str
    view: View
    config: str = ""
    facts: str = ""
    evidence: str = ""
    before: str = ""
    node: str = ""
    source: str = ""
    destination: str = ""
    service: str = ""

    def example(self, group: str) -> Example:
        """The example as the page gets it."""
        return {
            "id": self.id,
            "title": self.title,
            "group": group,
            "question": self.question,
            "answer": " ".join(statement.text for statement in self.answer),
            "state": self._state(),
        }

    def _state(self) -> State:
        return {
            "version": VERSION,
            **self._inputs(self.manifests),
            "family": "IPv4",
            "from": self.source,
            "to": self.destination,
            "service": self.service,
            "before": self._inputs(self.before) if self.before else None,
            "view": self.view,
        }

    def _inputs(self, manifests: str) -> Before:
        evidence: list[HeldFile] = []
        if self.evidence:
            evidence.append({"name": self.evidence, "text": text_of(self.evidence)})
        return {
            "files": [{"name": "web.yaml", "text": text_of(manifests)}],
            "config": text_of(self.config) if self.config else "",
            "facts": text_of(self.facts) if self.facts else "",
            "evidence": evidence,
            "node": self.node,
            "kubeProxyVersion": "",
        }


def text_of(name: str) -> str:
    """The text of a file of the examples."""
    return files(__package__).joinpath("files", name).read_text(encoding="utf-8")

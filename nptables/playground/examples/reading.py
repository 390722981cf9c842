"""The examples, from the files beside this module."""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Any

from nptables.playground.protocol import VERSION, Example, State
from nptables.sources.text import Input, parse_text

_EMPTY: dict[str, Any] = {
    "version": VERSION,
    "files": [],
    "config": "",
    "facts": "",
    "evidence": [],
    "node": "",
    "kubeProxyVersion": "",
    "family": "IPv4",
    "from": "",
    "to": "",
    "service": "",
    "before": None,
    "view": "findings",
}
# In the order in which they are offered.
_GROUPS = ("tutorial", "features", "no-answer")


@functools.cache
def examples() -> tuple[Example, ...]:
    """All examples, group by group."""
    found: list[Example] = []
    for group in _GROUPS:
        source = files(__package__).joinpath(f"{group}.yaml").read_text()
        documents, _ = parse_text(Input(f"{group}.yaml", source))
        for document in documents:
            value = document.value
            example: Example = {
                "id": value["id"],
                "title": value["title"],
                "group": value["group"],
                "question": value["question"],
                "answer": value["answer"].strip(),
                "state": _state(value["state"]),
            }
            found.append(example)
    return tuple(found)


def _state(written: dict[str, Any]) -> State:
    """A whole state; `files` are written as names and texts."""
    state = {**_EMPTY, **written, "files": _files(written.get("files", {}))}
    state["evidence"] = _files(written.get("evidence", {}))
    if written.get("before"):
        marked = {key: _EMPTY[key] for key in ("config", "facts", "evidence", "node")}
        before = {**marked, "kubeProxyVersion": "", **written["before"]}
        state["before"] = {**before, "files": _files(written["before"].get("files", {}))}
    return state  # type: ignore[return-value]


def _files(written: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "text": text} for name, text in written.items()]

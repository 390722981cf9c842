"""What the page and the bridge say to each other: JSON, in the shapes that stand here.

The page has the same shapes as types (playground/src/protocol.ts), and a test compares them.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict, get_args

VERSION = 1

Ask = Literal[
    "choices",
    "findings",
    "rules",
    "graph",
    "trace",
    "reach",
    "changes",
    "versions",
    "command",
    "examples",
    "read",
]
View = Literal["findings", "rules", "graph", "trace", "reach", "changes"]
FamilyName = Literal["IPv4", "IPv6"]
FaultKind = Literal["input", "large", "fault"]
NoteKind = Literal["note", "warning"]
ASKS: tuple[Ask, ...] = get_args(Ask)
VIEWS: tuple[View, ...] = get_args(View)
FAMILIES: tuple[FamilyName, ...] = get_args(FamilyName)


class HeldFile(TypedDict, total=False):
    """A file: `text`, or `base64` for what is none, such as archives; a name may have folders."""

    name: str
    text: str
    base64: str


class Before(TypedDict):
    """The part of a state that decides rules: what is marked as before."""

    files: list[HeldFile]
    config: str
    facts: str
    evidence: list[HeldFile]
    node: str
    kubeProxyVersion: str


State = TypedDict(
    "State",
    {
        "version": int,
        "files": list[HeldFile],
        "config": str,
        "facts": str,
        "evidence": list[HeldFile],
        "node": str,
        "kubeProxyVersion": str,
        "family": FamilyName,
        "from": str,
        "to": str,
        "service": str,
        "before": Before | None,
        "view": View,
    },
)


class Request(TypedDict, total=False):
    """What is asked of a state.

    `to` is the other version of kube-proxy for `versions`. For `rules`, `service` (`ns/name`)
    leaves out the rules of all others, `first` is the first chain that is shown, from 0, `most` is
    how many lines all chains together may have, and `whole` asks for the document of
    `render -o json` and for the text that `iptables-save` prints, too. For `reach`, `first` and
    `most` count Services; without `most` it is about all of them. For `read`, `most` is how many
    characters are parsed ahead. With `down` pictures are drawn from top to bottom.
    """

    ask: Ask
    state: State
    to: str
    service: str
    whole: bool
    down: bool
    first: int
    most: int


class Fix(TypedDict):
    """A safe change of a text: put `text` in the place of a range.

    Lines and columns count from 1, and the end is behind the last character.
    """

    title: str
    file: str
    line: int
    column: int
    endLine: int
    endColumn: int
    text: str


class Mark(TypedDict):
    """What is underlined: a range of a file, and what is said of it.

    `finding` is the position in the findings, or null for a problem with the input.
    """

    file: str
    line: int
    column: int
    endLine: int
    endColumn: int
    severity: Literal["info", "warning", "error"]
    message: str
    finding: int | None
    fix: Fix | None


class Note(TypedDict):
    """A sentence beside an answer."""

    kind: NoteKind
    text: str


class Reply(TypedDict):
    """An answer; the shape of `result` depends on what was asked."""

    ok: Literal[True]
    result: dict[str, Any]
    notes: list[Note]


class Instead(TypedDict):
    """What can be asked instead: another view, or the same of other input.

    `keep` are the names of the only files that are kept, `evidence` those of files that become
    evidence.
    """

    title: str
    view: View | None
    keep: list[str] | None
    evidence: list[str]


class Refusal(TypedDict):
    """Why there is no answer.

    `problems` are as `check -o json` prints them. `marks` are where they stand. `report` is what to
    send for a fault of ours; nothing of the input is in it, and it is empty for other kinds.
    """

    ok: Literal[False]
    kind: FaultKind
    message: str
    problems: list[dict[str, Any]]
    marks: list[Mark]
    notes: list[Note]
    instead: list[Instead]
    report: str


class End(TypedDict):
    """An end of a packet that can be chosen: what `from` or `to` is set to, and words for it."""

    value: str
    label: str
    kind: str


class Choices(TypedDict):
    """What can be chosen. `node` and `kubeProxyVersion` are what counts where nothing is chosen.

    `kubeProxyUsual` says in a few words which version that is, `kubeProxyWhy` in a sentence why;
    both are empty where the version makes no difference.
    """

    nodes: list[str]
    node: str
    families: list[FamilyName]
    kubeProxyVersions: list[str]
    kubeProxyVersion: str
    kubeProxyUsual: str
    kubeProxyWhy: str
    senders: list[End]
    destinations: list[End]
    services: list[str]


class Example(TypedDict):
    """An example: a question, its answer in words, and the state that shows it."""

    id: str
    title: str
    group: str
    question: str
    answer: str
    state: State

"""What answers each question; it is imported when it is first asked.

So the first answer need not wait for all of them.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nptables.answering import Say
from nptables.answering.services import service_key
from nptables.playground.reading import Reader
from nptables.playground.state import State

# It keeps what was read between two requests.
READER = Reader()
# Characters that are parsed ahead at a time: about half a second in a browser.
_AHEAD = 40_000


def _choices(state: State, asked: Mapping[str, Any], say: Say) -> Any:
    from nptables.playground.choices import choices

    del asked, say
    return choices(READER, state)


def _findings(state: State, asked: Mapping[str, Any], say: Say) -> Any:
    from nptables.playground.findings import findings

    del asked
    return findings(READER, state, say)


def _rules(state: State, asked: Mapping[str, Any], say: Say) -> Any:
    from nptables.playground.rules import MOST_LINES, rules

    service = asked.get("service", "")
    return rules(
        READER,
        state,
        say,
        service=service_key(service) if service else None,
        first=asked.get("first", 0),
        most=asked.get("most", MOST_LINES),
        whole=bool(asked.get("whole", False)),
    )


def _graph(state: State, asked: Mapping[str, Any], say: Say) -> Any:
    from nptables.playground.pictures import graph

    return graph(READER, state, say, down=bool(asked.get("down", False)))


def _trace(state: State, asked: Mapping[str, Any], say: Say) -> Any:
    from nptables.playground.packets import traced

    return traced(READER, state, say, down=bool(asked.get("down", False)))


def _reach(state: State, asked: Mapping[str, Any], say: Say) -> Any:
    from nptables.playground.packets import reached

    return reached(READER, state, say, first=asked.get("first", 0), most=asked.get("most"))


def _changes(state: State, asked: Mapping[str, Any], say: Say) -> Any:
    from nptables.playground.changes import changes

    del asked
    return changes(READER, state, say)


def _versions(state: State, asked: Mapping[str, Any], say: Say) -> Any:
    from nptables.playground.changes import versions

    return versions(READER, state, asked.get("to", ""), say)


def _command(state: State, asked: Mapping[str, Any], say: Say) -> Any:
    from nptables.playground.command import command_of

    del asked, say
    return command_of(READER, state)


def _examples(state: State, asked: Mapping[str, Any], say: Say) -> Any:
    from nptables.playground.examples import examples

    del state, asked, say
    return list(examples())


def _read(state: State, asked: Mapping[str, Any], say: Say) -> Any:
    """Parse large input piece by piece, so that the page can show how far it is, and stop."""
    del say
    done, total = READER.ahead(state, asked.get("most", _AHEAD))
    return {"read": done, "total": total}


ANSWERS: Mapping[str, Callable[[State, Mapping[str, Any], Say], Any]] = {
    "choices": _choices,
    "findings": _findings,
    "rules": _rules,
    "graph": _graph,
    "trace": _trace,
    "reach": _reach,
    "changes": _changes,
    "versions": _versions,
    "command": _command,
    "examples": _examples,
    "read": _read,
}

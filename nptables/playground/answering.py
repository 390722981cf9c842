"""From a request to a reply: whatever happens, there is one."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

import nptables
from nptables.answering.versions import OPTION
from nptables.errors import InvalidInput, NptablesError, Problem, printable
from nptables.model.kubeproxy import Version
from nptables.playground.asks import ANSWERS, READER
from nptables.playground.marks import Marker
from nptables.playground.protocol import ASKS, FaultKind, Instead, Note
from nptables.playground.reading import Elsewhere
from nptables.playground.state import MOST_CHARACTERS, State, TooLarge, read_state, well_formed
from nptables.playground.words import for_page
from nptables.sources.text.nesting import is_too_deep

# A request is longer than its texts: what stands for a character has up to six.
_MOST_REQUEST = 6 * MOST_CHARACTERS
_MOST_NOTES = 100
# Levels of lists and objects in a request.
_DEEPEST = 20
_TEXTS = ("to", "service")
_FIELDS = ("ask", "state", "to", "service", "first", "most", "whole", "down")


@attrs.define
class _Notes:
    """The sentences beside an answer, each once."""

    found: dict[tuple[str, str], None] = attrs.field(factory=dict)

    def __call__(self, text: str, *, kind: str = "note", option: str = "") -> None:
        """Keep a sentence; the page has no options, but fields that say themselves what they do.

        Which version of kube-proxy was taken, and why, stands beside the choice of it.
        """
        if option.startswith(OPTION):
            return
        if len(self.found) < _MOST_NOTES:
            self.found[kind, for_page(printable(text, 2000))] = None

    def to_json(self) -> list[Note]:
        """The sentences as plain data."""
        return [
            {"kind": "warning" if kind == "warning" else "note", "text": text}
            for kind, text in self.found
        ]


def answer(request: str) -> str:
    """The reply to a request, JSON both: see `protocol`. It raises nothing."""
    notes = _Notes()
    state = State()
    try:
        if len(request) > _MOST_REQUEST:
            raise TooLarge(_too_large())
        asked = _read(request)
        state = read_state(asked.get("state", {}))
        return _reply(ANSWERS[asked["ask"]](state, asked, notes), notes)
    except InvalidInput as error:
        instead = error.instead if isinstance(error, Elsewhere) else ()
        message = _first(error.problems)
        return _refusal("input", message, notes, error.problems, state, instead=instead)
    except TooLarge as error:
        return _refusal("large", str(error), notes)
    except NptablesError as error:
        return _refusal("input", str(error), notes, [Problem(printable(str(error), 2000))], state)
    except MemoryError:
        READER.forget()
        return _refusal("large", "there is not enough memory for this input", notes)
    except Exception as error:  # noqa: BLE001 - the last resort that turns a bug into a report
        return _refusal("fault", _FAULT, notes, report=_report(error))


_FAULT = (
    "This is a mistake in nptables, not in what you typed. Please report it with the text below, "
    "which holds nothing of your input."
)


def _too_large() -> str:
    return (
        f"the input is larger than the {MOST_CHARACTERS // 1_000_000} MB that this page takes: "
        "leave out what is not needed, or use the command line, which has no limit"
    )


def _read(request: str) -> Mapping[str, Any]:
    if is_too_deep(request, _DEEPEST):
        raise _wrong("the request is not JSON")
    try:
        asked = json.loads(request)
    except (ValueError, RecursionError):
        raise _wrong("the request is not JSON") from None
    if not isinstance(asked, Mapping):
        raise _wrong("the request is not an object")
    if asked.get("ask") not in ASKS:
        raise _wrong(f"the request asks for none of {', '.join(ASKS)}")
    for field in asked:
        if field not in _FIELDS:
            raise _wrong(f'the request has no field "{printable(field, 40)}"')
    for field in _TEXTS:
        if not isinstance(asked.get(field, ""), str):
            raise _wrong(f"the request: {field}: is not text")
    for field in ("first", "most"):
        value = asked.get(field, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
            raise _wrong(f"the request: {field}: is not a number from 0 on")
    asked = {**asked, **{field: well_formed(asked[field]) for field in _TEXTS if field in asked}}
    if asked.get("to") and Version.parse(asked["to"]) is None:
        raise _wrong(f'the request: to: "{printable(asked["to"], 40)}" is not a version')
    return asked


def _wrong(message: str) -> InvalidInput:
    return InvalidInput([Problem(message)])


def _first(problems: Sequence[Problem]) -> str:
    more = len(problems) - 1
    text = str(problems[0]) if problems else "the input is wrong"
    return f"{text} (and {more} more)" if more > 0 else text


def _reply(result: Any, notes: _Notes) -> str:
    return _dumps({"ok": True, "result": result, "notes": notes.to_json()})


def _refusal(
    kind: FaultKind,
    message: str,
    notes: _Notes,
    problems: Sequence[Problem] = (),
    state: State | None = None,
    *,
    instead: Sequence[Instead] = (),
    report: str = "",
) -> str:
    marker = Marker.of(state or State())
    marks = [mark for problem in problems if (mark := marker.of_problem(problem)) is not None]
    return _dumps({
        "ok": False,
        "kind": kind,
        "message": for_page(message),
        "problems": [problem.to_dict() for problem in problems],
        "marks": marks,
        "notes": notes.to_json(),
        "instead": instead,
        "report": report,
    })  # fmt: skip


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _report(error: Exception) -> str:
    """What to send of a bug: versions, and where it happened; never the words of the error.

    They may quote the input.
    """
    places = traceback.extract_tb(error.__traceback__)
    lines = [f"  {_short(place.filename)}:{place.lineno} in {place.name}" for place in places[-30:]]
    version = sys.version.partition(" ")[0]
    head = f"nptables {nptables.__version__}, Python {version} ({sys.platform})"
    return "\n".join([head, type(error).__name__, *lines])


def _short(path: str) -> str:
    _, found, rest = path.rpartition("/nptables/")
    return f"nptables/{rest}" if found else path.rpartition("/")[2]

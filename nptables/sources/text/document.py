"""One document of a file: its value, and where in the file each field stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from nptables.errors import Path, Problem
from nptables.sources.text.files import Input
from nptables.sources.text.jsontext import looks_like_json, parse_json
from nptables.sources.text.parsed import Early, Locate, Parsed
from nptables.sources.text.tokens import may_hide_values

# Progress is called with the bytes that were read and the bytes there are.
Progress = Callable[[str, int, int], None]
# Above this, what begins like JSON is not read a second time as YAML.
_SMALL = 1024 * 1024


@attrs.frozen(eq=False, repr=False)
class Document:
    """A document of a file. `locate` gives line and column (from 1) of a field path.

    `redacted` says that values of the file are hidden, perhaps in this document.
    """

    file: str
    value: Any
    locate: Locate
    is_yaml: bool
    redacted: bool = False

    def place(self, problem: Problem, prefix: Path = ()) -> Problem:
        """`problem` with the file, line and column of its field below `prefix`."""
        where = self.locate((*prefix, *problem.path))
        line, column = where or (None, None)
        return attrs.evolve(problem, file=self.file, line=line, column=column)


ParseYaml = Callable[[str, Callable[[int], None] | None], tuple[list[Parsed], list[Problem]]]


def _parse_yaml(
    text: str, report: Callable[[int], None] | None
) -> tuple[list[Parsed], list[Problem]]:
    from nptables.sources.text.yamltext import parse_yaml  # noqa: PLC0415 - JSON needs no YAML

    return parse_yaml(text, report)


def parse_text(
    source: Input,
    progress: Progress | None = None,
    *,
    yaml: ParseYaml = _parse_yaml,
    early: Early | None = None,
) -> tuple[list[Document], list[Problem]]:
    """Every document of a file, and what is wrong with the text; empty documents are left out.

    What stands before a mistake in the text is read all the same, so that one run finds as
    much as it can. `yaml` parses what is YAML. `early` is called with objects of JSON that
    have endpoints, where no value of the file is hidden.
    """
    hidden = 0
    if may_hide_values(source.text):
        from nptables.sources.text.redaction import followed  # noqa: PLC0415 - few texts do

        text, redaction = followed(source.text)
        source, hidden = attrs.evolve(source, text=text), redaction.hidden
    is_json = looks_like_json(source.name, source.text)
    if is_json:
        parsed, problems = parse_json(source.text, None if hidden else early)
        # Flow style may begin like JSON; a name that ends in .json says what was meant.
        is_json = not problems or source.name.endswith(".json") or len(source.text) > _SMALL
    if not is_json:
        report = None if progress is None else _report(progress, source)
        parsed, problems = yaml(source.text, report)
    return (
        [
            Document(source.name, found.value, found.locate, not is_json, hidden > 0)
            for found in parsed
            if found.value is not None
        ],
        [attrs.evolve(problem, file=source.name) for problem in problems],
    )


def _report(progress: Progress, source: Input) -> Callable[[int], None]:
    total = len(source.text)
    return lambda done: progress(source.name, done, total)

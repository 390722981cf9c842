"""Texts that come again with small changes: of YAML only the documents that changed are parsed.

A line that begins with `---` ends a document wherever it stands, also within a text in quotes (YAML
1.2, 9.1.2: c-forbidden). So the documents of a text can be parsed one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from nptables.cache import Cache
from nptables.errors import Path, Problem
from nptables.sources.text.document import Document, parse_text
from nptables.sources.text.files import Input
from nptables.sources.text.jsontext import looks_like_json
from nptables.sources.text.parsed import Locate, Parsed
from nptables.sources.text.redaction import followed
from nptables.sources.text.yamltext import parse_yaml

_START = re.compile(r"^---(?=\s|$)", re.MULTILINE)
# Directives, and an end of a document without the beginning of the next: seldom, and left whole.
_WHOLE = re.compile(r"^(?:%|\.\.\.(?=\s|$))", re.MULTILINE)
# Behind a document, so that the parser sees what ended it.
_END = "---\n"


class Pieces:
    """Parses texts, and keeps the documents of the last ones: `most` characters of them."""

    def __init__(self, most: int) -> None:
        self._cache = Cache(most)

    def parse_text(self, source: Input) -> tuple[list[Document], list[Problem]]:
        """As `text.parse_text`."""
        return parse_text(source, yaml=self._parse_yaml)

    def ahead(self, source: Input, most: int) -> int:
        """Parse the next documents of a text, of about `most` characters, for `parse_text` to come.

        Returns how many characters of the text need no more parsing. What is not read document by
        document needs none ahead.
        """
        text, _ = followed(source.text)
        if looks_like_json(source.name, text) or _is_whole(text):
            return len(source.text)
        done = parsed = 0
        for piece in _pieces(text):
            if piece not in self._cache:
                if parsed >= most:
                    return done
                parsed += len(piece)
                self._whole(piece, None)
            done += len(piece) - len(_END) * piece.endswith(_END)
        return len(source.text)

    def forget(self) -> None:
        """Forget all documents."""
        self._cache.forget()

    def _parse_yaml(
        self, text: str, report: Callable[[int], None] | None = None
    ) -> tuple[list[Parsed], list[Problem]]:
        """As `yamltext.parse_yaml`."""
        if _is_whole(text):
            return self._whole(text, report)
        documents: list[Parsed] = []
        problems: list[Problem] = []
        line = 0
        for piece in _pieces(text):
            found, wrong = self._whole(piece, None)
            if wrong:
                # Problems name lines, in hints too: they are found where they stand.
                found, wrong = self._whole("\n" * line + piece, None)
                documents += found
            else:
                documents += [_further_down(each, line) for each in found]
            problems += wrong
            line += piece.count("\n") - piece.endswith(_END)
        return documents, problems

    def _whole(
        self, text: str, report: Callable[[int], None] | None
    ) -> tuple[list[Parsed], list[Problem]]:
        return self._cache.get(text, lambda: parse_yaml(text, report), weight=len(text) + 1)


def _is_whole(text: str) -> bool:
    return "\r" in text or "\ufeff" in text or _WHOLE.search(text) is not None


def _pieces(text: str) -> Iterator[str]:
    """The documents of a text, each with the beginning of the next behind it."""
    starts = [match.start() for match in _START.finditer(text)]
    if not starts or text[: starts[0]]:
        starts.insert(0, 0)
    for start, end in pairwise(starts):
        yield text[start:end] + _END
    yield text[starts[-1] :] if starts else text


def _further_down(parsed: Parsed, lines: int) -> Parsed:
    return Parsed(parsed.value, _shifted(parsed.locate, lines)) if lines else parsed


def _shifted(locate: Locate, lines: int) -> Locate:
    def located(path: Path) -> tuple[int, int] | None:
        found = locate(path)
        return None if found is None else (found[0] + lines, found[1])

    return located

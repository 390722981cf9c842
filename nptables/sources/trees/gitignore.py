"""What `.gitignore` files leave out, as git reads them.

Own code, because all that is wanted of a library is one function from a pattern to a regular
expression; which files apply to which folder, and in what order, a library leaves to its user.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from nptables.errors import printable
from nptables.immutable import frozen


@frozen
class Patterns:
    """The patterns of one file, for paths relative to the folder that it stands in.

    `quick` matches whatever any of them matches, so that most paths are asked only once.
    """

    base: str
    listed: tuple[tuple[re.Pattern[str], bool, bool], ...]
    quick: re.Pattern[str]

    def verdict(self, path: str, *, is_folder: bool) -> bool | None:
        """Whether a path (from the base) is left out, or None where no pattern says anything."""
        if self.quick.fullmatch(path) is None:
            return None
        # The last pattern that fits decides (gitignore(5)).
        for pattern, negated, folders_only in reversed(self.listed):
            if (is_folder or not folders_only) and pattern.fullmatch(path):
                return not negated
        return None


def parse_patterns(base: str, lines: Iterable[str]) -> Patterns | None:
    """The patterns of a `.gitignore`, or None where there are none."""
    found = []
    for line in lines:
        parsed = _parsed(line)
        if parsed is not None:
            found.append(parsed)
    if not found:
        return None
    quick = re.compile("|".join(f"(?:{text})" for text, _, _ in found), re.DOTALL)
    listed = tuple((re.compile(text, re.DOTALL), negated, only) for text, negated, only in found)
    return Patterns(base, listed, quick)


def is_ignored(path: str, chain: Sequence[Patterns], *, is_folder: bool) -> bool:
    """Whether a path is left out; `chain` has the files from the outermost folder inwards."""
    # A file overrides those of the folders above it (gitignore(5)).
    for patterns in reversed(chain):
        prefix = f"{patterns.base}/" if patterns.base else ""
        verdict = patterns.verdict(path.removeprefix(prefix), is_folder=is_folder)
        if verdict is not None:
            return verdict
    return False


def _parsed(line: str) -> tuple[str, bool, bool] | None:
    """A regular expression, whether it takes back, and whether it is for folders only."""
    line = line.rstrip("\r\n")
    # Blanks at the end count only behind a backslash.
    while line.endswith(" ") and not line.endswith("\\ "):
        line = line[:-1]
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    line = line.removeprefix("!")
    folders_only = line.endswith("/")
    line = line.removesuffix("/")
    # A slash at the beginning or in the middle binds a pattern to its folder.
    anchored = "/" in line
    line = line.removeprefix("/")
    if not line:
        return None
    try:
        text = _expression(line)
        re.compile(text)
    except re.error:
        return None
    return (text if anchored else f"(?:.*/)?{text}"), negated, folders_only


def glob_expression(glob: str) -> str:
    """The regular expression of a glob in which `**` crosses folders and `*` does not."""
    return _expression(glob)


def _expression(glob: str) -> str:
    out = []
    position = 0
    while position < len(glob):
        char = glob[position]
        at_start = position == 0 or glob[position - 1] == "/"
        if at_start and glob.startswith("**/", position):
            out.append("(?:.*/)?")
            position += 3
            continue
        if at_start and position > 0 and glob[position:] == "**":
            out.append(".+")
            break
        if char == "*":
            while glob.startswith("*", position + 1):
                position += 1
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            end, text = _bracket(glob, position)
            out.append(text)
            position = end
        elif char == "\\" and position + 1 < len(glob):
            position += 1
            out.append(re.escape(glob[position]))
        else:
            out.append(re.escape(char))
        position += 1
    return "".join(out)


def _bracket(glob: str, start: int) -> tuple[int, str]:
    """The set that begins at `start`: where it ends, and its expression."""
    position = start + 1
    negated = glob[position : position + 1] in ("!", "^")
    position += negated
    first = position
    items = []
    while position < len(glob) and (glob[position] != "]" or position == first):
        if glob.startswith("[:", position) and (end := glob.find(":]", position)) > 0:
            items.append(_CLASSES.get(glob[position + 2 : end], ""))
            position = end + 2
            continue
        if glob[position] == "\\" and position + 1 < len(glob):
            position += 1
            items.append(re.escape(glob[position]))
        elif glob[position] == "-":
            items.append(
                "-" if len(items) > 0 and glob[position + 1 : position + 2] != "]" else r"\-"
            )
        else:
            items.append(re.escape(glob[position]))
        position += 1
    if position >= len(glob):
        raise re.error(f"{printable(glob, 80)} has no closing bracket")
    inner = "".join(items)
    # As git, no set matches a slash.
    return position, f"(?!/)[{'^' if negated else ''}{inner}]" if inner else "(?!)"


_CLASSES = {
    "alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "digit": "0-9", "lower": "a-z", "upper": "A-Z",
    "space": r"\s", "xdigit": "0-9a-fA-F", "punct": r"!-/:-@\[-`{-~", "blank": r" \t",
}  # fmt: skip

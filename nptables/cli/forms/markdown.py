"""Markdown for a comment on a pull request, as forges show it.

Whatever names and texts hold, it stays text: no markup, no link, nobody mentioned. A forge takes
65,536 characters, so the whole is cut before that, between two lines, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from nptables.checks import Finding, Severity
from nptables.cli.forms.form import Findings, Form, Noticed, Planned, sentences_of
from nptables.effects import Effects
from nptables.effects.words import nodes_in_words, summary
from nptables.errors import format_path, printable
from nptables.iptables.changes.report import ReportLine, report_lines
from nptables.translation.explanation.grouping import service_groups
from nptables.words import listed

# Of GitHub's 65,536; GitLab and Gitea take more.
MOST = 65_000
_MOST_TEXT = 2000
_MARKUP = str.maketrans(
    {
        **{char: f"\\{char}" for char in "\\`*_[]|~"},
        **{char: f"&#{ord(char)};" for char in "<>&$^"},
        # Behind what begins a mention, a reference to an issue or an address: see _BEGINNINGS.
        "\u200b": "&#8203;",
    }
)
_BEGINNINGS = re.compile(r"(?i):(?=//)|w(?=ww\.)|g(?=h-\d)|[@#!%](?=\w)")
_IN_CODE = re.compile(r"[^A-Za-z0-9 .-]")


def text(words: str) -> str:
    """Words as text, wherever in a line of Markdown; what forges would link stays unlinked."""
    plain = printable(words, _MOST_TEXT)
    return _BEGINNINGS.sub("\\g<0>\u200b", plain).translate(_MARKUP)


def code(words: str) -> str:
    """Words as code in a line of Markdown or of HTML; also in a cell of a table."""
    plain = printable(words, _MOST_TEXT)
    if not plain.strip():
        return ""
    return f"<code>{_IN_CODE.sub(lambda found: f'&#{ord(found[0])};', plain)}</code>"


def _fence(words: str, least: int) -> str:
    """Backticks, more of them than there are anywhere in a row."""
    longest = max((len(run) for run in re.findall("`+", words)), default=0)
    return "`" * max(least, longest + 1)


def cut(parts: Iterable[Sequence[str]], most: int = MOST) -> Iterator[str]:
    """The lines of parts, as many as there is room for; a part is whole or not there."""
    used = left_out = 0
    for part in parts:
        size = sum(len(line) + 1 for line in part)
        if left_out or used + size > most:
            left_out += 1
            continue
        used += size
        yield from part
    if left_out:
        rest = "1 more part does" if left_out == 1 else f"{left_out} more parts do"
        yield ""
        yield f"*{rest} not fit in a comment; the same command with `-o text` shows all.*"


def _findings(found: Findings) -> Iterator[str]:
    return cut(_of_findings(found))


def _of_findings(found: Findings) -> Iterator[Sequence[str]]:
    counts = [
        f"{count} {severity.word}"
        for severity in reversed(Severity)
        if (count := sum(one.severity is severity for one in found.reported))
    ]
    ignored = f"; {len(found.ignored)} ignored" if found.ignored else ""
    yield (f"### {found.title}", "", f"{', '.join(counts) or 'no findings'}{ignored}")
    if found.reported:
        yield ("", "| | Code | Object | Finding |", "| --- | --- | --- | --- |")
    for one in found.reported:
        yield (_row(one),)
    if found.reported:
        yield ("",)
    for what in dict.fromkeys(one.what for one in found.reported):
        yield (f"- `{what.code}` {text(what.effect)} {text(what.remedy)}",)


def _row(one: Finding) -> str:
    place = one.file or ""
    if place and one.line is not None:
        place += f":{one.line}"
    where = "<br>".join(filter(None, (code(one.set), code(one.subject), code(place))))
    field = f"{code(format_path(one.path))} " if one.path else ""
    fix = f" {text(one.remedy)}" if one.fix else ""
    said = f"{field}{text(one.message)}.{fix}"
    return f"| {one.severity.word} | `{one.what.code}` | {where} | {said} |"


def _effects(parts: Sequence[Noticed]) -> Iterator[str]:
    return cut(_of_effects(parts))


def _of_effects(parts: Sequence[Noticed]) -> Iterator[Sequence[str]]:
    found = Effects.joined(tuple(part.effects for part in parts))
    yield ("### What packets notice", "", text(summary(found)), "")
    for line in sentences_of(parts, lambda effects: effects.effects):
        yield (f"- {text(line)}",)
    if found.unknown:
        yield ("", "Not known:", "")
    for line in sentences_of(parts, lambda effects: effects.unknown):
        yield (f"- {text(line)}",)


def _plans(parts: Sequence[Planned]) -> Iterator[str]:
    return cut(_of_plans(parts))


def _of_plans(parts: Sequence[Planned]) -> Iterator[Sequence[str]]:
    yield ("### How the rules differ", "")
    if not any(part.plan for part in parts):
        yield ("no difference",)
    for part in parts:
        about = [part.set, part.plan.family.value]
        if part.nodes:
            about.append(f"on {nodes_in_words(part.nodes)}")
        title = text(": ".join(filter(None, (about[0], " ".join(about[1:])))))
        yield from _of_plan(part, title)


def _of_plan(part: Planned, title: str) -> Iterator[Sequence[str]]:
    """A folded part for each Service, with the rules that come and go."""
    plan = part.plan
    groups: list[list[ReportLine]] = []
    notes = []
    for line in report_lines(plan, service_groups(plan.desired, plan.before)):
        if line.kind == "heading":
            groups.append([line])
        elif line.kind == "note":
            notes.append(f"- {text(line.text[2:])}")
        else:
            groups[-1].append(line)
    if groups or notes:
        yield (f"**{title}**", "")
    for heading, *lines in groups:
        yield _folded(heading.text.removeprefix("# "), lines)
    if notes:
        yield (*notes, "")


def _folded(name: str, lines: Sequence[ReportLine]) -> Sequence[str]:
    counts = listed(
        f"{count} {kind}" for kind in ("added", "removed")
        if (count := sum(line.kind == kind for line in lines))
    )  # fmt: skip
    shown = _shortened([line.text for line in lines])
    fence = _fence("\n".join(shown), 3)
    return (
        f"<details><summary>{code(name)}: {counts or 'other order'}</summary>",
        "",
        f"{fence}diff",
        *shown,
        fence,
        "</details>",
        "",
    )


# Of one Service more than this is for a file.
_MOST_OF_ONE = 20_000


def _shortened(lines: Sequence[str]) -> Sequence[str]:
    shown: list[str] = []
    used = 0
    for line in lines:
        used += len(line) + 1
        if used > _MOST_OF_ONE:
            return [*shown, f"# {len(lines) - len(shown)} more lines: -o text shows them"]
        shown.append(line)
    return shown


def _warning(words: str) -> Iterator[str]:
    yield f"**nptables:** {text(words)}"


FORM = Form(findings=_findings, effects=_effects, plans=_plans, warning=_warning)

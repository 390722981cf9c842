"""The annotations of a workflow on GitHub: findings, effects, and how many rules come and go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nptables.checks.reports import github_lines, workflow_command
from nptables.cli.forms.form import Findings, Form, Noticed, Planned
from nptables.effects.words import nodes_in_words, same_on_nodes
from nptables.iptables.changes.report import report_lines
from nptables.translation.explanation.grouping import service_groups


def _findings(found: Findings) -> Iterator[str]:
    return github_lines(found.reported)


def _effects(parts: Sequence[Noticed]) -> Iterator[str]:
    """An effect each, where the object stands that makes it."""
    for part in parts:
        found = part.effects
        for level, listed in (("warning", found.effects), ("notice", found.unknown)):
            for effect, text in same_on_nodes(listed, part.own):
                namespace, _, name = effect.service.partition("/")
                file, number, _ = part.place((namespace, name)) or (None, None, None)
                title = "nptables effect"
                yield workflow_command(level, text, title=title, file=file, line=number)


def _plans(parts: Sequence[Planned]) -> Iterator[str]:
    """One annotation for each Service: how many rules come and go, and what file it is about."""
    for part in parts:
        plan = part.plan
        counts: dict[str, dict[str, int]] = {}
        group = ""
        title = f"nptables {plan.family.value}"
        on = f" on {nodes_in_words(part.nodes)}" if part.nodes else ""
        for line in report_lines(plan, service_groups(plan.desired, plan.before)):
            if line.kind == "heading":
                group = line.text.removeprefix("# ")
            elif line.kind in ("added", "removed"):
                found = counts.setdefault(group, {"added": 0, "removed": 0})
                found[line.kind] += 1
            elif line.kind == "note":
                yield workflow_command("notice", line.text[2:], title=title)
        for name, found in counts.items():
            text = f"{name}{on}: {found['added']} rules added, {found['removed']} removed"
            namespace, _, service = name.partition("/")
            file, number, _ = part.place((namespace, service)) or (None, None, None)
            yield workflow_command("warning", text, title=title, file=file, line=number)


def _warning(words: str) -> Iterator[str]:
    yield workflow_command("warning", words, title="nptables")


FORM = Form(findings=_findings, effects=_effects, plans=_plans, warning=_warning)

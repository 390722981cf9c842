"""Findings that are silenced with a written reason.

Three places can say so: an annotation on the object that the finding is about, a rule of a settings
file, and a baseline (see `baseline`). A silenced finding stays a finding, with its `silence`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import attrs

from nptables.checks.codes import CODES, IGNORE_UNCLEAR
from nptables.checks.finding import Code, Finding, Silence
from nptables.errors import printable
from nptables.model import Cluster
from nptables.model.backing import Place, nowhere
from nptables.model.metadata import IGNORE
from nptables.model.reading import nearest, quoted

# Kind, namespace and name.
Identity = tuple[str, str, str]
_PATH = ("metadata", "annotations", IGNORE)
_PARTS = re.compile(r"[;\n]")


@attrs.frozen
class IgnoreRule:
    """A code that is not reported, and why; `service` is a glob, empty for whatever object.

    The glob is compared with `namespace/name`, or with the name where it holds no slash. `by` says
    where the rule is written.
    """

    code: str
    reason: str
    by: str
    service: str = ""

    def covers(self, finding: Finding) -> bool:
        """Whether the rule is about a finding."""
        if finding.what.code != self.code:
            return False
        if not self.service:
            return True
        name = finding.name
        if "/" in self.service:
            name = f"{finding.namespace}/{finding.name}"
        return finding.kind == "Service" and fnmatchcase(name, self.service)


def exact_code(word: str) -> Code | None:
    """The code that a word is, or is the name of; None for anything else."""
    upper = word.strip().upper()
    named = (code for code in CODES.values() if code.name == word.strip())
    return CODES.get(upper) or next(named, None)


def silenced_by_objects(
    findings: Iterable[Finding], cluster: Cluster, place: Place = nowhere
) -> list[Finding]:
    """The findings, those silenced that an annotation of their object names with a reason.

    What is wrong with the annotations of the cluster's objects is found too, as NPT002. `place`
    says where an object was read, as for `check_cluster`.
    """
    reasons: dict[Identity, dict[str, str]] = {}
    unclear: list[Finding] = []
    for identity, text in _annotations(cluster):
        reasons[identity], wrong = read_annotation(text)
        unclear += [Finding(IGNORE_UNCLEAR, message, *identity, _PATH) for message in wrong]
    silenced = (_silenced(finding, reasons) for finding in findings)
    return [*silenced, *(finding.placed(place) for finding in unclear)]


def _silenced(finding: Finding, reasons: Mapping[Identity, Mapping[str, str]]) -> Finding:
    said = reasons.get((finding.kind, finding.namespace, finding.name), {})
    reason = said.get(finding.what.code)
    if reason is None:
        return finding
    return attrs.evolve(finding, silence=Silence(reason, f"annotation {IGNORE}", in_source=True))


def _annotations(cluster: Cluster) -> Iterator[tuple[Identity, str]]:
    for service in cluster.services.values():
        if service.metadata.ignore:
            yield ("Service", service.namespace, service.name), service.metadata.ignore
    for node in cluster.nodes.values():
        if node.metadata.ignore:
            yield ("Node", "", node.name), node.metadata.ignore
    workloads = cluster.backing.workloads if cluster.backing is not None else ()
    # An object with several Pod templates is several workloads.
    yield from dict.fromkeys(
        ((one.kind, one.namespace, one.name), one.ignore) for one in workloads if one.ignore
    )


def read_annotation(text: str) -> tuple[dict[str, str], list[str]]:
    """The reasons by code in `CODE=reason; CODE=reason`, and what is wrong with the rest.

    Parts may stand in lines of their own. A name does for a code; a beginning does not, since codes
    that are made later would begin so too.
    """
    reasons: dict[str, str] = {}
    wrong: list[str] = []
    for part in _PARTS.split(text):
        word, equals, reason = part.partition("=")
        if not part.strip():
            continue
        code = exact_code(word)
        if code is None:
            wrong.append(f"there is no code {quoted(word.strip())}{_hint(word.strip())}")
        elif not equals or not reason.strip():
            wrong.append(f"{code.code} is to be ignored without a reason")
        else:
            reasons[code.code] = printable(reason.strip(), 1000)
    return reasons, wrong


def _hint(word: str) -> str:
    meant = nearest(word, [*CODES, *(code.name for code in CODES.values())])
    return f" ({meant})" if meant else ""


def silenced_by_rules(findings: Iterable[Finding], rules: Sequence[IgnoreRule]) -> list[Finding]:
    """The findings, those silenced that a rule of the settings covers and nothing did before."""
    found = []
    for finding in findings:
        rule = next((rule for rule in rules if rule.covers(finding)), None)
        if rule is not None and finding.silence is None:
            finding = attrs.evolve(finding, silence=Silence(rule.reason, rule.by))  # noqa: PLW2901
        found.append(finding)
    return found

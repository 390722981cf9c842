"""Evidence from a node, from a file: a snapshot, a dump, a part of one, a listing.

Each form is recognised by what it is, not by the name of the file. `_FORMS` has one reader for
each; the first that knows the text has it.
"""

from __future__ import annotations

import enum
import json
import os
import re
from collections.abc import Callable, Iterator

import attrs

from nptables.errors import InvalidInput, Problem, SaveSyntaxError, printable
from nptables.evidence import Evidence, Form, Gap
from nptables.evidence.nftables import from_nft_document, from_nft_text
from nptables.evidence.node_names import is_called
from nptables.evidence.rules import from_rules
from nptables.evidence.snapshot import from_document, is_snapshot
from nptables.evidence.snapshot_script import from_marked, is_marked
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.sources.archives.budget import Progress
from nptables.sources.bundles import contents_of, evidences_of
from nptables.sources.kubeproxy import parse_config
from nptables.sources.text.files import read_unpacked
from nptables.sources.text.nesting import IN_WEBASSEMBLY, is_too_deep
from nptables.sources.text.redaction import Redaction, followed, with_open_rules

_COMMAND = "`nptables snapshot`, or `iptables-save` and `ip6tables-save`, as root on the node"
_EMPTY = "it is empty: either the node has no iptables tables, or iptables-save did not run as root"
_OBJECTS = (
    "the objects of a cluster: `kubectl get services,endpointslices,nodes -A -o yaml`, as FILE"
)
_SETS = re.compile(r"^(?:create|add) \S+ \S+", re.MULTILINE)
_CONNECTIONS = re.compile(r"^(?:ipv[46] +\d+ +)?(?:tcp|udp|sctp) +\d+ +\d+ .*src=", re.MULTILINE)
# What people have instead, by what it looks like, and what it is good for.
_OTHERS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"^Name:\s+\S.*\n(?:Namespace|Labels|Roles):\s", re.MULTILINE),
        "what `kubectl describe` prints",
        _OBJECTS,
    ),
    (
        re.compile(r"^(?:NAMESPACE\s+)?NAME\s+.*\b(?:CLUSTER-IP|ENDPOINTS|AGE)\b", re.MULTILINE),
        "what `kubectl get` prints",
        _OBJECTS,
    ),
    (
        re.compile(r"^\s*.*\bcounter packets \d+ bytes \d+\b", re.MULTILINE),
        "a part of what `nft list ruleset` prints, without the lines that begin with `chain`",
        "",
    ),
    (
        _SETS,
        "what `ipset save` prints",
        "--sets takes it",
    ),
    (
        _CONNECTIONS,
        "what `conntrack -L` prints",
        "--conntrack takes it",
    ),
    (
        re.compile(
            r"^.*\S +(?:all|tcp|udp|\d+) +-- +.*(?:0\.0\.0\.0/0|anywhere|::/0)", re.MULTILINE
        ),
        "a part of a listing without the lines that begin with `Chain`",
        "",
    ),
    (re.compile(r"^IP Virtual Server version", re.MULTILINE), "what `ipvsadm` prints", ""),
    (
        re.compile(r"you must be root|Permission denied|command not found|not permitted"),
        "what a program says that could not read the rules",
        "",
    ),
    (
        re.compile(r"^(?:apiVersion|kind): ", re.MULTILINE),
        "an object of a cluster",
        "name it as a FILE, without an option before it",
    ),
)


class Beside(enum.Enum):
    """What goes with the rules of a node, and is none: connections, and sets that rules match."""

    CONNECTIONS = "connections"
    SETS = "sets"


def beside_rules(text: str) -> Beside | None:
    """What `conntrack -L` or `ipset save` printed, by its first line; None for anything else."""
    first = text.lstrip().partition("\n")[0]
    if _CONNECTIONS.match(first):
        return Beside.CONNECTIONS
    return Beside.SETS if _SETS.match(first) else None


def read_evidence(
    path: str | os.PathLike[str],
    family: Family | None = None,
    *,
    node: str = "",
    progress: Progress | None = None,
) -> Evidence:
    """What a file tells of a node, whatever form it has; `-` is standard input.

    It may be compressed with gzip, and it may be a bundle: an archive, or a folder, that a
    collector of logs made.

    Args:
        path: The file, or the folder of a bundle.
        family: That of rules that do not tell theirs.
        node: The node that is meant, where a bundle has several.
        progress: Called now and then while an archive is read, with its name, the bytes of it that
            were read and those that there are.

    Raises:
        InvalidInput: For what is no evidence of a node, with the command that gives some.
    """
    contents = contents_of(os.fspath(path), progress)
    if contents is not None:
        return meant(evidences_of(contents, evidence_in), node, contents.path)
    source = read_unpacked(path)
    try:
        return evidence_in(source.text, family)
    except InvalidInput as error:
        raise error.in_file(source.name) from None


def read_all_evidence(path: str | os.PathLike[str]) -> list[Evidence] | None:
    """What a bundle tells of each of its nodes; None for what is no bundle.

    The list is empty for a bundle of the cluster alone. Raises InvalidInput.
    """
    contents = contents_of(os.fspath(path))
    if contents is None:
        return None
    has_nodes = any(bundle.nodes() for bundle in contents.bundles)
    return evidences_of(contents, evidence_in) if has_nodes else []


def meant(found: list[Evidence], node: str, path: str) -> Evidence:
    """The node that is meant of those in a bundle. Raises InvalidInput if it is ambiguous."""
    if len(found) == 1:
        return found[0]
    called = [one for one in found if node and is_called(one, node)]
    if len(called) == 1:
        return called[0]
    names = [one.node or "one without a name" for one in found]
    raise InvalidInput([
        Problem(
            f"contains the state of {len(found)} nodes: {', '.join(names[:8])}"
            + (", ..." if len(names) > 8 else ""),
            hint="choose one with --node",
            file=path,
        )
    ])  # fmt: skip


def evidence_in(text: str, family: Family | None = None) -> Evidence:
    """What a text tells of a node: see `read_evidence`."""
    if not text.strip():
        # So iptables-nft-save prints a node without any table, and so fails without root.
        return Evidence(
            Form.SAVED, (Ruleset(family or Family.IPV4, {}),), gaps=(Gap("the text", _EMPTY),)
        )
    text, redaction = followed(text)
    text = with_open_rules(text)
    for read in _FORMS:
        found = read(text, family)
        if found is not None:
            return attrs.evolve(found, gaps=(*found.gaps, *_redacted(redaction)))
    raise _refusal(text)


def _redacted(redaction: Redaction) -> Iterator[Gap]:
    """What a program took out of the evidence, each said once."""
    if redaction.first is not None:
        token, address = redaction.first
        yield Gap(
            _counted(redaction.followed, "address", "addresses", "replaced"),
            f"each token is treated as an address of its own: {token} is {address}; their "
            "networks are unknown",
        )
    if redaction.hidden:
        yield Gap(
            _counted(redaction.hidden, "value", "values", "taken out of the text"),
            "what depends on them is unknown",
        )
    if redaction.is_of_sos:
        yield Gap("the true names and addresses", "`sos clean` has put others in their place")


def _counted(number: int, one: str, many: str, what: str) -> str:
    return f"{number} {one if number == 1 else many} that {'was' if number == 1 else 'were'} {what}"


def _json(text: str, family: Family | None) -> Evidence | None:
    """What a JSON document tells."""
    if not text.lstrip("\ufeff \t\r\n").startswith("{"):
        return None
    if IN_WEBASSEMBLY and is_too_deep(text):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and "nftables" in value:
        return from_nft_document(value, family)
    if isinstance(value, dict) and "apiVersion" in value:
        raise _wrong(
            "is an object of a cluster, not evidence from a node",
            "name it as a FILE, without an option before it",
        )
    if is_snapshot(value):
        return from_document(value)
    raise _wrong("is JSON, but not a snapshot of a node")


def _marked(text: str, _family: Family | None) -> Evidence | None:
    """What deploy/snapshot.sh printed."""
    return from_marked(text, parse_config) if is_marked(text) else None


def _rules(text: str, family: Family | None) -> Evidence | None:
    """Rules: a dump, a part of one, a listing."""
    try:
        return from_rules(text, family)
    except SaveSyntaxError as error:
        raise InvalidInput([
            Problem(
                f"{error.message}: {printable(error.line, 200)}" if error.line else error.message,
                line=error.line_number,
                hint=f"copy the dump again: {_COMMAND}",
            )
        ]) from None  # fmt: skip


_FORMS: tuple[Callable[[str, Family | None], Evidence | None], ...] = (
    _json, _marked, _rules, from_nft_text,
)  # fmt: skip


def _refusal(text: str) -> InvalidInput:
    """What a text without evidence from a node is, and what to use instead."""
    beginning = text[:100_000]
    for pattern, what, instead in _OTHERS:
        if pattern.search(beginning):
            return _wrong(f"is {what}, not the rules of a node", instead)
    first = next(line.strip() for line in text.splitlines() if line.strip())
    return _wrong(f'contains no iptables rules; it begins with "{printable(first, 80)}"')


def _wrong(message: str, instead: str = "") -> InvalidInput:
    hint = f"{instead}; the rules of a node: {_COMMAND}" if instead else f"make it with {_COMMAND}"
    return InvalidInput([Problem(message, hint=hint)])

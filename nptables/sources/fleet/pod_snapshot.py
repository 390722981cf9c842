"""One node by its Pod: the script of `nptables snapshot`, or each program by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import attrs

from nptables.errors import ApiServerError, SaveSyntaxError, printable
from nptables.evidence import Evidence, Form, Gap, Process
from nptables.evidence.snapshot import to_document
from nptables.evidence.snapshot_script import is_marked
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.sources.apiserver import Connection, Finished, execute
from nptables.sources.evidence import evidence_in
from nptables.sources.fleet.deployed import deployed
from nptables.sources.fleet.pods import ProxyPod

_SCRIPT = "snapshot.sh"
# What a shell answers, or a runtime, where a program is not there.
_NOT_THERE = (126, 127)
_SAVES = {Family.IPV4: "iptables-save", Family.IPV6: "ip6tables-save"}


def take_snapshot(
    connection: Connection,
    pod: ProxyPod,
    taken: str,
    *,
    seconds: float,
    clock: Callable[[], float],
) -> dict[str, Any]:
    """The document of a snapshot of the node that a Pod is on.

    `taken` is the time now (RFC 3339). Raises ApiServerError, and InvalidInput where what comes is
    no snapshot.
    """
    end = clock() + seconds

    def run(*command: str, given: bytes = b"") -> Finished:
        left = max(0.1, end - clock())
        return execute(
            connection,
            pod.container,
            command,
            seconds=left,
            whole=seconds,
            given=given,
            clock=clock,
        )

    # As an argument it would be part of a URL, which few servers take so long. Without the last
    # line a shell that is not told of the end of its input would wait for it.
    done = run("sh", "-s", given=f"{deployed(_SCRIPT)}\nexit 0\n".encode())
    if done.why or done.code in _NOT_THERE:
        found = _without_shell(run, done)
    elif done.code:
        said = printable(done.errors.decode("utf-8", "replace").strip()[-300:])
        raise ApiServerError(f"the script ended with exit code {done.code}: {said}")
    else:
        text = done.output.decode("utf-8", "replace")
        if not is_marked(text):
            raise ApiServerError("its output is not that of the script")
        found = evidence_in(text)
        if (cut := [gap for gap in found.gaps if gap.what == "the end of the text"]) != []:
            raise ApiServerError(f"its output is incomplete: {cut[0].why}")
        if not found.rulesets and not found.unread:
            gaps = "; ".join(map(str, found.gaps))
            raise ApiServerError(f"it shows no tables{f': {gaps}' if gaps else ''}")
    return to_document(
        attrs.evolve(
            found,
            form=Form.SNAPSHOT,
            node=found.node or pod.node,
            taken=found.taken or taken,
            processes=_processes(found, pod),
        )
    )


def _processes(found: Evidence, pod: ProxyPod) -> tuple[Process, ...] | None:
    """What runs there; the manifest says of kube-proxy what its own container does not show."""
    told = pod.process
    if told is None or any(each.name == told.name for each in found.processes or ()):
        return found.processes
    return (*(found.processes or ()), told)


Run = Callable[..., Finished]


def _without_shell(run: Run, refused: Finished) -> Evidence:
    """What the programs print that are there, each by itself."""
    rulesets: list[Ruleset] = []
    gaps: list[Gap] = []
    for family, name in _SAVES.items():
        ruleset = _tables(run, name, family, gaps)
        if ruleset is not None:
            rulesets.append(ruleset)
    if not rulesets:
        why = refused.why or "there is no shell"
        raise ApiServerError(f"neither a shell nor iptables-save can be run: {why}")
    ipset = _text(run, ("ipset", "save"), gaps)
    native = _native(run, gaps)
    version = _text(run, ("kube-proxy", "--version"), gaps)
    # It prints `Kubernetes v1.36.0`.
    process = Process("kube-proxy", version=version.split()[-1]) if version else None
    gaps.append(Gap("facts and settings of the node", "the image has no shell"))
    return Evidence(
        Form.SNAPSHOT,
        tuple(rulesets),
        ipset=ipset,
        native=native,
        processes=None if process is None else (process,),
        gaps=tuple(gaps),
    )


def _tables(run: Run, name: str, family: Family, gaps: list[Gap]) -> Ruleset | None:
    done = run(name, "-c")
    if done.why or done.code:
        gaps.append(Gap(f"the tables of {family.value}", _said(done)))
        return None
    text = done.output.decode("utf-8", "replace")
    try:
        return Ruleset.from_save(text, family=family)
    except SaveSyntaxError as error:
        raise ApiServerError(f"{name} did not print a ruleset: {error}") from error


def _text(run: Run, command: Sequence[str], gaps: list[Gap]) -> str | None:
    done = run(*command)
    if done.why or done.code:
        gaps.append(Gap(" ".join(command), _said(done)))
        return None
    return done.output.decode("utf-8", "replace")


def _native(run: Run, gaps: list[Gap]) -> tuple[Mapping[str, Any], ...] | None:
    # The chains show who else hooks in; rules of others may be very many.
    text = _text(run, ("nft", "-j", "list", "chains"), gaps)
    if text is None:
        return None
    found: list[Mapping[str, Any]] = []
    with suppress(ValueError, AttributeError, RecursionError):
        found = list(_beside(json.loads(text).get("nftables") or ()))
    return tuple(found)


def _beside(entries: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    """The chains of tables that are not iptables' own."""
    # By these names iptables-nft keeps its tables in nftables.
    own = ("raw", "mangle", "nat", "filter", "security")
    for entry in entries:
        chain = entry.get("chain") if isinstance(entry, Mapping) else None
        if isinstance(chain, Mapping) and not (
            chain.get("family") in ("ip", "ip6") and chain.get("table") in own
        ):
            yield entry


def _said(done: Finished) -> str:
    text = done.why or done.errors.decode("utf-8", "replace").strip()
    return printable(text[-300:]) or f"exit code {done.code}"

"""Write docs/versions.md from the table of habits.

python scripts/versions.py > docs/versions.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from nptables.model.kubeproxy import HABITS, NEWEST, OLDEST, VERSIONS, Habit
from nptables.model.kubeproxy.gates import GATES, Gate

HEAD = f"""\
# Every kube-proxy from {OLDEST} to {NEWEST}

```sh
nptables render cluster.json --node worker-1 --kube-proxy-version 1.30
nptables diff cluster.json --node worker-1 --kube-proxy-version 1.29 --to-version {NEWEST}
```

The rules of kube-proxy's iptables mode changed little from {OLDEST} to {NEWEST}. Every change is a
named **habit** in one table (`nptables.model.kubeproxy.habits`), from which this page is made.
Code that makes rules asks for a habit by its name. Patch releases make the same rules, so `1.30`,
`v1.30.4` and `v1.30.4-eks-a18cd3a` are one version. For a version older than {OLDEST} or newer than
{NEWEST} the nearest known version is used, with a warning.

Without `--kube-proxy-version` the version is taken from the first of these: the kube-proxy that
runs on the node (with `--live`, `apply` and `run` its metrics say it, with `--snapshot` the
snapshot), the Node object (`status.nodeInfo.kubeletVersion`), {NEWEST}. A note on standard error
says which was taken and why.
`run` takes the Node's version when it first sees the Node, and keeps it until it is restarted.
`check` without `--node` checks each Node with that Node's own version. From Python:
`ProxyConfig.from_kube_proxy(doc, version="1.30")`; its `remarks`, and the `warnings` of the rules,
have the warnings.

A setting that the version does not know has no effect, and gives a warning. (kube-proxy itself
does not start with a feature gate that it does not know.) A value that the version refuses is an
error, which names the version from which on it is accepted, or refused.

In some cases kube-proxy's own iptables-restore refuses all rules (an endpoint of the wrong family
from 1.33 on, leading zeros in old versions). nptables leaves out what causes this, with a warning.
"""

# Of releases after the newest that is known: what was read, and what it says.
LOOKED_AT = """\
## What came after

Read: the release notes of 1.37.0-alpha.1, 1.38.0-alpha.1 and 1.38.0-alpha.2
(`CHANGELOG/CHANGELOG-1.37.md` and `CHANGELOG-1.38.md` of kubernetes/kubernetes), and a late draft
of those of 1.37.0 as a whole (`releases/release-1.37/release-notes` of kubernetes/sig-release),
which reaches to pull request 141209. Of KEP-5343 (nftables as the default mode) and KEP-5495 (the
end of ipvs) only excerpts were read. The notes of 1.37.0 as they were published, and those of its
pre-releases after alpha.1, were not found, and no kube-proxy after 1.36 was recorded. Until one is,
1.37 and later give a warning and the rules of 1.36.

| release | what kube-proxy changes | rules of the iptables mode |
|---|---|---|
| 1.37 | no full syncs in large clusters (#138571) | the same |
| 1.37 | gate KubeProxyIPVS (#139397), a warning where no mode is set (#139957) | the same |
| 1.37 | it ends when the Node is deleted or its addresses change (#138183) | the same |
| 1.37 | UDP connections are forgotten when a Service loses all endpoints (#139629) | the same |
| 1.37 | managedFields are dropped from memory (#140056) | the same |
| 1.37 | nftables mode: netlink, maps, comments (#137536, #140723, #139516) | the same |
| 1.37 | nftables mode: node ports on localhost (#138427) | the same |
| 1.37 | ipvs mode: addresses are read faster (#138927) | the same |
| 1.38 | nftables mode: node ports on localhost (#142490) | the same |
| 1.38 | UDP connections of a deleted Service are forgotten at once (#141371) | the same |
| 1.38 | nf_conntrack_max is left where it is high enough (#142035) | the same |
| 1.38 | API servers always refuse leading zeros and mapped addresses (#141979) | the same |
"""

EVIDENCE = """\
## How it is known

`fixtures/versions` has what the real kube-proxy of each version programmed for 73 scenarios of one
feature each (for 1.36 they are in `fixtures/conformance`) and up to 136 more that were made to show
differences, in both families. The tests
compare every rule, from scratch and by way of the translator that follows changes. Not compared are
four scenarios where kube-proxy depends on the order in which it saw the slices, and rules that the
kernel refused.

Whoever adds a version adds its habits to the table, raises `NEWEST`, and puts its recordings beside
the others.
"""


def document() -> str:
    """The whole page."""
    return "\n".join(
        [
            HEAD,
            "## Habits by version\n",
            *_overview(),
            "",
            "## The habits\n",
            *(line for habit in HABITS for line in _section(habit)),
            "## Feature gates\n",
            *_gates(),
            "",
            LOOKED_AT,
            EVIDENCE.rstrip(),
            "",
        ]
    )


def _overview() -> Iterator[str]:
    """Which habits each version has unless a gate is set."""
    yield f"| habit | {' | '.join(map(str, VERSIONS))} |"
    yield f"|---|{'---|' * len(VERSIONS)}"
    for habit in HABITS:
        has = (habit.by_default(version) for version in VERSIONS)
        cells = " | ".join("x" if there else "" for there in has)
        yield f"| [{habit.name}](#{habit.name}) | {cells} |"


def _section(habit: Habit) -> Iterator[str]:
    said = []
    if habit.since is not None:
        said.append(f"From {habit.since} on.")
    if habit.until is not None:
        said.append(f"Up to {habit.until}.")
    if habit.since is None and habit.until is None:
        said.append("In every version.")
    if habit.gate is not None:
        said.append(f"Gate: {habit.gate.name}.")
    source = [f"recorded ({', '.join(habit.recorded)})"] if habit.recorded else []
    yield f"### {habit.name}\n"
    yield f"{' '.join(said)}\n"
    yield f"Rules: {habit.changes}\n"
    yield f"Packets: {habit.means}\n"
    yield f"Source: {'; '.join([*source, habit.source])}.\n"


def _gates() -> Iterator[str]:
    yield "| gate | known | on unless switched off | always on |"
    yield "|---|---|---|---|"
    for gate in GATES.values():
        yield f"| {gate.name} | {_known(gate)} | {_on(gate)} | {_never_or(gate.locked)} |"
    yield (
        "\nA version that no longer knows a gate always does what it was for.\n"
        "\nAllAlpha sets the gates that a version knows and that are not on yet, AllBeta those\n"
        "that are on and can be switched off. Neither sets a gate that the configuration names,\n"
        "nor AllowServiceExternalIPs, which was never alpha or beta."
    )


def _from(version: object) -> str:
    return "in all" if version is None else f"from {version}"


def _known(gate: Gate) -> str:
    if gate.last is None:
        return _from(gate.known)
    return f"up to {gate.last}" if gate.known is None else f"{gate.known} to {gate.last}"


def _on(gate: Gate) -> str:
    return _from(gate.on or gate.known)


def _never_or(version: object) -> str:
    return "no" if version is None else f"from {version}"


if __name__ == "__main__":
    sys.stdout.write(document())

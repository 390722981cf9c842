"""Which backend a node uses; see `choose`.

A new backend is a module beside this one with a class that does what `Backend` says, and an entry
in `_BY_NAME` below; the command line takes its name from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from nptables.errors import (
    AmbiguousBackend,
    BackendUnavailable,
    KernelBusy,
    KernelError,
    ReadingStarved,
)
from nptables.evidence.backends import both_in_use, decide_backend
from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables import Ruleset
from nptables.kernel.programs import Runner, find_program, run_program
from nptables.kernel.tables.backend import Backend
from nptables.kernel.tables.restoring import DEFAULT_WAIT, DISTURBED, ReadTimeout, RestoreBackend
from nptables.kernel.tables.xtables import KINDS, Kind, classify, command, legacy_tables, stem
from nptables.translation.owned import ever_owned, holds_service_chains

# How long the program may take that lists one chain, beside its wait for the lock.
_SECONDS = 60.0


@frozen
class Choice:
    """The backend to use, what its tables hold now, and why it was taken, in words.

    `starved` says why only parts of the tables are in `current`, if so.
    """

    backend: Backend
    current: Ruleset
    reason: str
    starved: ReadingStarved | None = None


def choose(
    family: Family,
    wanted: str = "auto",
    *,
    wait: float = DEFAULT_WAIT,
    run: Runner = run_program,
    read_timeout: ReadTimeout | None = None,
    blind: bool = False,
) -> Choice:
    """The backend of a node for one family, and its tables.

    `wanted` is one of BACKENDS. With `auto`: the backend that holds a chain of the kubelet's, else
    the one that holds ours, else the one with more rules, else the system's default. Looking
    creates no legacy table. `read_timeout` is for reading; whoever keeps it and tries again after a
    KernelBusy gives large tables more time. With `blind`, parts will do where others keep the
    tables from being read.

    Raises AmbiguousBackend where both hold rules for Services, BackendUnavailable where there
    is none, or not the one that is wanted, and KernelBusy where one of them cannot be read now.
    """
    read_timeout = read_timeout or ReadTimeout(disturbed=max(DISTURBED, wait))
    if wanted in _BY_NAME:
        return _BY_NAME[wanted](_Asked(family, wait, run, read_timeout, blind))
    if wanted != "auto":
        raise BackendUnavailable(f"there is no backend {wanted}: one of {', '.join(BACKENDS)}")
    held, failures = read_both(family, wait, run, read_timeout, blind=blind)
    if not held:
        raise failures[0]
    kind, reason = _decide({each: rules for each, (rules, _) in held.items()}, family, run)
    current, starved = held[kind]
    return Choice(RestoreBackend(kind, family, wait, run, read_timeout), current, reason, starved)


def probe(
    backend: Backend,
    *,
    may_create: bool,
    wait: float = DEFAULT_WAIT,
    run: Runner = run_program,
    proc: Path = Path("/proc/net"),
) -> None:
    """Make sure that the kernel has the tables of a backend that `choose` took.

    Being read, nft has told already, and so have legacy tables that exist. Where none does, their
    program alone is no sign, so nat is looked at as kube-proxy does at its start. That creates it:
    for whoever `may_create` it only; others go by whether the kernel speaks IPv6 at all. `wait` is
    in seconds, for the xtables lock; while somebody else holds it, nothing can be told and nothing
    is raised. Raises BackendUnavailable.
    """
    family = backend.family
    # The file is not there where IPv6 was switched off when the kernel started.
    if family is Family.IPV6 and not (proc / "if_inet6").exists():
        raise BackendUnavailable("this kernel does not speak IPv6")
    if backend.name == "nft" or "nat" in legacy_tables(family, proc) or not may_create:
        return
    argv = [*command("legacy", family), "-w", str(max(1, int(wait)))]
    # What kube-proxy asks, too (Present, called by platformCheckSupported in
    # kubernetes/cmd/kube-proxy/app/server_linux.go).
    done = run([*argv, "-t", "nat", "-S", "POSTROUTING"], "", wait + _SECONDS)
    if done.code == 0:
        return
    error = classify(done, "legacy", wait, "looking at nat")
    if not isinstance(error, KernelBusy):
        raise BackendUnavailable(str(error))


# What was read, and why it is not everything, if so.
Reading = tuple[Ruleset, ReadingStarved | None]


def _read(backend: RestoreBackend, *, blind: bool) -> Reading:
    """All tables, or with `blind` as much of them as others let us read."""
    try:
        return backend.read(), None
    except ReadingStarved as error:
        if not blind:
            raise
        return backend.read_parts(ever_owned()), error


def read_both(
    family: Family, wait: float, run: Runner, read_timeout: ReadTimeout, *, blind: bool = False
) -> tuple[dict[Kind, Reading], list[KernelError]]:
    """The tables of each backend that is there, and why others could not be read.

    Raises KernelBusy.
    """
    held: dict[Kind, Reading] = {}
    failures: list[KernelError] = []
    for kind in KINDS:
        backend = RestoreBackend(kind, family, wait, run, read_timeout)
        try:
            if kind == "legacy" and not legacy_tables(family):
                # The module may not even be loaded; whether the program works is not asked.
                if find_program(f"{stem(family)}-legacy-restore"):
                    held[kind] = Ruleset(family, {}), None
            else:
                held[kind] = _read(backend, blind=blind)
        except KernelBusy:
            # Its contents are unknown: with the other one, both might hold rules.
            raise
        except KernelError as error:
            failures.append(error)
    if not held and not failures:
        failures.append(BackendUnavailable(f"{stem(family)} is not installed"))
    return held, failures


def _decide(held: dict[Kind, Ruleset], family: Family, run: Runner) -> tuple[Kind, str]:
    with_services = [kind for kind, rules in held.items() if holds_service_chains(rules)]
    if len(with_services) > 1:
        raise AmbiguousBackend(both_in_use(family))
    if (decided := decide_backend(list(held.values()))) is not None:
        rules, reason = decided
        return next(kind for kind, found in held.items() if found is rules), reason
    return _system_default(family, run, list(held)), "it is the system's default"


def _system_default(family: Family, run: Runner, among: list[Kind]) -> Kind:
    """What plain `iptables` is: it says so behind its version."""
    found = find_program(stem(family))
    if found is not None:
        words = run([found, "--version"], "", 30).stdout
        default: Kind = "nft" if "nf_tables" in words else "legacy"
        if default in among:
            return default
    return among[0]


@frozen
class _Asked:
    """How a backend is asked for by its name; see `choose`."""

    family: Family
    wait: float
    run: Runner
    read_timeout: ReadTimeout
    blind: bool


def _restoring(kind: Kind, asked: _Asked) -> Choice:
    backend = RestoreBackend(kind, asked.family, asked.wait, asked.run, asked.read_timeout)
    current, starved = _read(backend, blind=asked.blind)
    return Choice(backend, current, "it was asked for", starved)


def _libiptc(asked: _Asked) -> Choice:
    from nptables.kernel.tables.libiptc import LibiptcBackend  # noqa: PLC0415 (an extra)

    try:
        auto = choose(asked.family, "auto", wait=asked.wait, run=asked.run)
    except AmbiguousBackend:
        auto = None
    if auto is not None and auto.backend.name == "nft" and not _prefers_nothing(auto):
        raise BackendUnavailable(
            "python-iptables changes the legacy tables only, and this node uses nft "
            f"({auto.reason}): use --backend nft"
        )
    backend = LibiptcBackend.load(asked.family, wait=asked.wait, run=asked.run)
    return Choice(backend, backend.read(), "it was asked for")


def _prefers_nothing(choice: Choice) -> bool:
    """Whether a backend was chosen only for want of any sign."""
    return choice.reason == "it is the system's default"


_BY_NAME: Mapping[str, Callable[[_Asked], Choice]] = {
    **{kind: partial(_restoring, kind) for kind in KINDS},
    "iptc": _libiptc,
}
BACKENDS = ("auto", *_BY_NAME)

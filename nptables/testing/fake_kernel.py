"""A kernel that is only memory, and refuses what the real one refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from nptables.errors import KernelRefused
from nptables.family import Family
from nptables.iptables import Ownership, Ruleset
from nptables.iptables.changes import Step
from nptables.iptables.ruleset import BUILT_IN_CHAINS, Table, chain_of, target_of
from nptables.iptables.spelling import normal_form
from nptables.iptables.tables import TARGETS

LONGEST_CHAIN_NAME = 28
_VERDICTS = frozenset({"ACCEPT", "DROP", "RETURN", "QUEUE"})
_NFACCT = re.compile(r" --nfacct-name\s+(\S+)")


class FakeKernel:
    r"""The tables of one family in memory, changed by restore text as a real node's are.

    It is a Backend: pass it to `nptables.apply` or an Applier. Each table commits atomically, and
    it refuses what the kernel refuses, with KernelRefused: a jump to a chain that is not there, a
    loop, deleting a chain that is used or holds rules, an unknown chain, a chain name of more than
    28 characters, an nfacct object that is not in `nfacct`, a line to delete that is not there, a
    table without COMMIT. Of commands it knows -A, -I, -D and -X, and refuses all others. What
    stands in a rule besides its chain, its target and its counter is not looked at.

    `before_commit` is called with each step before it is carried out and may raise, which makes
    that commit fail. `piece` is as in Backend. `.commits` has the text of every commit that landed.

    >>> kernel = FakeKernel()
    >>> kernel.restore("*filter\n:MINE - [0:0]\n-A MINE -j ACCEPT\nCOMMIT\n")
    >>> kernel.read().lines("filter", "MINE")
    ('-A MINE -j ACCEPT',)
    """

    name = "fake"

    def __init__(
        self,
        family: Family = Family.IPV4,
        save: str = "",
        *,
        nfacct: Iterable[str] = (),
        piece: int | None = None,
        before_commit: Callable[[Step], None] | None = None,
    ) -> None:
        self.family = family
        self.nfacct = frozenset(nfacct)
        self.piece = piece
        self.before_commit = before_commit
        self.commits: list[str] = []
        self._tables: dict[str, _Table] = {}
        if save:
            self._load(Ruleset.from_save(save, family=family))

    def read(self) -> Ruleset:
        """The tables as they are."""
        return Ruleset(
            self.family,
            {
                name: Table(name, {c: tuple(v) for c, v in t.chains.items()}, dict(t.policies))
                for name, t in self._tables.items()
            },
        )

    def read_parts(self, owner: Ownership) -> Ruleset:  # noqa: ARG002 (as in Backend)
        """The same: nothing keeps these tables from being read."""
        return self.read()

    def commit(self, steps: Sequence[Step]) -> None:
        """Carry out steps; each is atomic. Raises KernelRefused."""
        for step in steps:
            if self.before_commit is not None:
                self.before_commit(step)
            self.restore(step.to_restore(), step=step.purpose)

    def restore(self, text: str, *, step: str = "") -> None:
        """Feed text as to `iptables-restore --noflush`. Raises KernelRefused with the line."""
        table: _Table | None = None
        name = ""
        block: list[str] = []
        for line in text.splitlines():
            # iptables-restore skips these wherever they stand.
            if not line or line.startswith("#"):
                continue
            if table is None and line.startswith("*"):
                name = line[1:]
                known = self._tables.get(name) or _Table.fresh(name)
                table, block = known.copy(), []
            elif table is None:
                raise KernelRefused("outside a table", line=line, step=step)
            block.append(line)
            try:
                if line == "COMMIT":
                    table.check(self.nfacct)
                    self._tables[name] = table
                    self.commits.append("\n".join((*block, "")))
                    table = None
                elif len(block) > 1:
                    table.command(line, self.family)
            except _Refusal as refusal:
                raise KernelRefused(
                    str(refusal), table=name, step=step, line=refusal.line or line, code=1
                ) from None
        if table is not None:
            raise KernelRefused("COMMIT expected", table=name, step=step, code=1)

    def _load(self, ruleset: Ruleset) -> None:
        for name, table in ruleset.tables.items():
            fresh = _Table.fresh(name)
            fresh.chains |= {chain: list(lines) for chain, lines in table.chains.items()}
            fresh.policies |= table.policies
            self._tables[name] = fresh


class _Refusal(Exception):
    def __init__(self, message: str, line: str = "") -> None:
        self.line = line
        super().__init__(message)


class _Table:
    """The chains of one table while they are changed."""

    def __init__(self, chains: dict[str, list[str]], policies: dict[str, str]) -> None:
        self.chains = chains
        self.policies = policies

    @classmethod
    def fresh(cls, name: str) -> _Table:
        built_in = BUILT_IN_CHAINS.get(name)
        if built_in is None:
            raise KernelRefused(f"there is no table {name}", table=name)
        return cls({chain: [] for chain in built_in}, dict.fromkeys(built_in, "ACCEPT"))

    def copy(self) -> _Table:
        return _Table({c: list(lines) for c, lines in self.chains.items()}, dict(self.policies))

    def command(self, line: str, family: Family) -> None:
        if line.startswith(":"):
            self._declare(line)
        elif line.startswith("-A "):
            self._chain(chain_of(line)).append(line)
        elif line.startswith("-I "):
            self._insert(line)
        elif line.startswith("-D "):
            self._remove(f"-A{line[2:]}", family)
        elif line.startswith("-X "):
            self._delete(line[3:])
        else:
            raise _Refusal("not a command that is known here")

    def _chain(self, name: str) -> list[str]:
        try:
            return self.chains[name]
        except KeyError:
            raise _Refusal(f"Chain '{name}' does not exist") from None

    def _declare(self, line: str) -> None:
        name, _, rest = line[1:].partition(" ")
        policy = rest.partition(" ")[0]
        if not policy:
            raise _Refusal("policy invalid")
        if len(name) > LONGEST_CHAIN_NAME:
            raise _Refusal(f"chain name '{name}' too long (must be under 29 chars)")
        if name in self.policies:
            self.policies[name] = policy
        elif policy != "-":
            raise _Refusal(f"chain {name} is not built in and has no policy")
        else:
            self.chains[name] = []

    def _insert(self, line: str) -> None:
        name, _, rest = line[3:].partition(" ")
        first, _, more = rest.partition(" ")
        place = 1
        if first.isdecimal():
            place, rest = int(first), more
        lines = self._chain(name)
        if place > len(lines) + 1:
            raise _Refusal("Index of insertion too big")
        lines.insert(place - 1, f"-A {name} {rest}" if rest else f"-A {name}")

    def _remove(self, line: str, family: Family) -> None:
        lines = self._chain(chain_of(line))
        wanted = normal_form(line, family)
        for index, found in enumerate(lines):
            if found == line or normal_form(found, family) == wanted:
                del lines[index]
                return
        raise _Refusal("Bad rule (does a matching rule exist in that chain?)")

    def _delete(self, name: str) -> None:
        if name in self.policies:
            raise _Refusal(f"{name} is built in")
        if self._chain(name):
            raise _Refusal(f"CHAIN_USER_DEL failed (Device or resource busy): chain {name}")
        if any(target_of(line) == name for lines in self.chains.values() for line in lines):
            raise _Refusal(f"CHAIN_USER_DEL failed (Device or resource busy): chain {name}")
        del self.chains[name]

    def check(self, nfacct: frozenset[str]) -> None:
        """What the kernel looks at when a table is committed."""
        for lines in self.chains.values():
            for line in lines:
                target = target_of(line)
                if target and target not in self.chains and not _is_extension(target):
                    raise _Refusal(f"there is no chain or target {target}", line)
                counter = _NFACCT.search(line)
                if counter is not None and counter[1] not in nfacct:
                    raise _Refusal(f"there is no nfacct object {counter[1]}", line)
        self._refuse_loops()

    def _refuse_loops(self) -> None:
        done: set[str] = set()
        for start in self.chains:
            path: list[tuple[str, list[str]]] = [(start, self._targets(start))]
            on_path = {start}
            while path:
                chain, targets = path[-1]
                if not targets:
                    done.add(chain)
                    on_path.discard(chain)
                    path.pop()
                    continue
                target = targets.pop()
                if target in on_path:
                    raise _Refusal(f"a loop through chain {target}")
                if target not in done:
                    on_path.add(target)
                    path.append((target, self._targets(target)))

    def _targets(self, chain: str) -> list[str]:
        return [t for line in self.chains[chain] if (t := target_of(line)) in self.chains]


def _is_extension(target: str) -> bool:
    return target in _VERDICTS or target in TARGETS

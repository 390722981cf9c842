"""The tables of one node: as text where that will do, parsed where it has to be."""

from __future__ import annotations

from collections.abc import Mapping

from nptables.auditing import table_lines
from nptables.errors import NptablesError, SaveSyntaxError
from nptables.evidence.backends import decide_backend
from nptables.evidence.snapshot import Snapshot
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.ruleset import parse_lines
from nptables.translation import chains

# Rules of these chains show facts that were not given.
_TELLING = ("nat", "filter")
_TELLING_CHAINS = (chains.FORWARD, chains.NODEPORTS, chains.POSTROUTING, chains.SERVICES)


class NodeTables:
    """The tables in a snapshot, each known by its place there; what was parsed is kept."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._parsed: dict[int, Ruleset] = {}
        self._texts: dict[int, dict[str, table_lines.TableLines] | None] = {}

    def __len__(self) -> int:
        return len(self._snapshot.tables)

    @property
    def families(self) -> list[Family]:
        """The families that there are tables of."""
        return [f for f in Family if any(t.family is f for t in self._snapshot.tables)]

    def serving(self, family: Family) -> int | None:
        """Which of the tables of a family are kube-proxy's; None where two may be."""
        places = [i for i, t in enumerate(self._snapshot.tables) if t.family is family]
        if len(places) == 1:
            return places[0]
        rulesets = [self.ruleset(place) for place in places]
        decided = decide_backend(rulesets)
        if decided is None:
            return None
        return next(p for p, r in zip(places, rulesets, strict=True) if r is decided[0])

    def text(self, index: int) -> dict[str, table_lines.TableLines] | None:
        """The lines of the tables at a place, unparsed; None where they are not as usual."""
        table = self._snapshot.tables[index]
        # What is not in the text cannot be compared by it.
        if isinstance(table, Ruleset) or table.unread:
            return None
        if index not in self._texts:
            self._texts[index] = table_lines.tables_in(table.text)
        return self._texts[index]

    def lines(self, index: int) -> Mapping[str, table_lines.TableLines]:
        """The lines of the tables at a place, parsed first where need be."""
        texts = self.text(index)
        return texts if texts is not None else _as_lines(self.ruleset(index))

    def ruleset(self, index: int) -> Ruleset:
        """The tables at a place. Raises NptablesError where they are not whole."""
        found = self._parsed.get(index)
        if found is None:
            table = self._snapshot.tables[index]
            try:
                found = table if isinstance(table, Ruleset) else table.ruleset()
            except SaveSyntaxError as error:
                text = f"its tables are cut off or damaged: {error}"
                raise NptablesError(text) from error
            if found.remarks.cut_off:
                raise NptablesError("its tables are cut off")
            self._parsed[index] = found
        return found

    def all_parsed(self) -> tuple[Ruleset, ...]:
        """All of them."""
        return tuple(self.ruleset(index) for index in range(len(self)))

    def telling(self, index: int) -> Ruleset:
        """The chains that show facts, or all of them."""
        texts = self.text(index)
        family = self._snapshot.tables[index].family
        if texts is None or not set(_TELLING) <= texts.keys():
            return self.ruleset(index)
        lines: list[str] = []
        for name in _TELLING:
            table = texts[name]
            if not table.usual:
                return self.ruleset(index)
            told = [chain for chain in _TELLING_CHAINS if chain in table.names]
            lines += [f"*{name}", *(f":{chain} - [0:0]" for chain in told)]
            lines += [line for chain in told for line in table.by_chain.get(chain, ())]
            lines.append("COMMIT")
        return parse_lines(lines, range(len(lines)), family)


def _as_lines(ruleset: Ruleset) -> dict[str, table_lines.TableLines]:
    return {
        name: table_lines.TableLines(
            [line for lines in table.chains.values() for line in lines], list(table.chains)
        )
        for name, table in ruleset.tables.items()
    }

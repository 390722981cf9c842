"""One rule, read from the line that `iptables-save` prints for it: a view, made on demand.

A rule is stored as its line (see docs/architecture.md); this is for whoever wants to know what the
line says. `Rule.parse` and `Rule.to_line` stand side by side: for any line that can be read at all,
`Rule.parse(line, family).to_line() == line`.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from nptables.errors import RuleSyntaxError
from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables import words
from nptables.iptables.protocols import protocol_name
from nptables.iptables.tables import (
    BASE_OPTIONS,
    MATCH_NAMES,
    MATCHES,
    NEGATED_BEHIND,
    OTHER_BASE_OPTIONS,
    PROTOCOL_MATCHES,
    TARGETS,
    Options,
    OptionSpec,
    Quoting,
)


@frozen
class Option:
    """One option of a rule with the words that belong to it, without their quotes.

    `name` is the one that `iptables-save` prints, dashes included (`--dport`, also where the line
    said `--destination-port`). `negated` says that a `!` stands before it.
    """

    name: str
    values: tuple[str, ...] = ()
    negated: bool = False

    @property
    def value(self) -> str:
        """The words joined by spaces: most options have exactly one."""
        return " ".join(self.values)


@frozen
class Match:
    """`-m name` and its options, in the order they were given."""

    name: str
    options: tuple[Option, ...] = ()

    def option(self, name: str) -> Option | None:
        """The first option of that name, or None."""
        return next((option for option in self.options if option.name == name), None)


@frozen
class Target:
    """`-j name` or, with `goto`, `-g name`, and its options; the name may be that of a chain."""

    name: str
    options: tuple[Option, ...] = ()
    goto: bool = False

    def option(self, name: str) -> Option | None:
        """The first option of that name, or None."""
        return next((option for option in self.options if option.name == name), None)


@frozen
class Rule:
    """What one line says.

    `extra` holds words that belong to no match and no target. Two rules are equal when they say the
    same in the same order of matches and options, however their lines were spelled.
    """

    chain: str
    source: Option | None = None
    destination: Option | None = None
    in_interface: Option | None = None
    out_interface: Option | None = None
    protocol: Option | None = None
    fragment: Option | None = None
    matches: tuple[Match, ...] = ()
    target: Target | None = None
    extra: tuple[Option, ...] = ()
    _origin: tuple[str, Rule] | None = attrs.field(
        default=None, eq=False, repr=False, alias="_origin"
    )

    @classmethod
    def parse(cls, line: str, family: Family) -> Rule:
        """The rule that `line` (`-A CHAIN ...`, no counters before it) says.

        `family` decides which match a protocol brings along. A match, target or option that
        iptables 1.8.9 does not have is kept as it is written.

        Raises RuleSyntaxError, and nothing else, for a line that cannot be read.

        >>> rule = Rule.parse('-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT', Family.IPV4)
        >>> rule.matches[0].option("--dport").value
        '22'
        """
        rule = _Parser(line, family).rule()
        # So it is for nearly every line, and then the text is not kept beside the rule.
        if rule.render() == line:
            return rule
        return attrs.evolve(rule, _origin=(line, rule))

    def to_line(self) -> str:
        """The line: the one that was parsed as long as nothing was changed, else `render()`."""
        if self._origin is not None and self._origin[1] == self:
            return self._origin[0]
        return self.render()

    def render(self) -> str:
        """The line in the order, and with the quotes, of `iptables-save` 1.8.9."""
        parts = ["-A", words.bare(self.chain)]
        for option in self._base_options():
            parts += _option_words(option, None)
        for match in self.matches:
            parts += ["-m", words.bare(match.name)]
            options = MATCHES.get(match.name, {})
            for option in match.options:
                parts += _option_words(option, options.get(option.name))
        for option in self.extra:
            parts += _option_words(option, None)
        if self.target is not None:
            parts += ["-g" if self.target.goto else "-j", words.bare(self.target.name)]
            options = TARGETS.get(self.target.name, {})
            for option in self.target.options:
                parts += _option_words(option, options.get(option.name))
        return " ".join(parts)

    @property
    def comments(self) -> tuple[str, ...]:
        """The texts of all comment matches, in order."""
        return tuple(
            option.value
            for match in self.matches
            if match.name == "comment"
            for option in match.options
            if option.name == "--comment"
        )

    @property
    def jump(self) -> str | None:
        """The chain that the rule jumps or goes to, or None."""
        if self.target is None or self.target.name in TARGETS:
            return None
        return self.target.name

    @property
    def unknown(self) -> tuple[str, ...]:
        """What iptables 1.8.9 does not have: matches, options, stray words, by their names."""
        return tuple(self._unknown())

    def match(self, name: str) -> Match | None:
        """The first match of that name, or None."""
        return next((match for match in self.matches if match.name == name), None)

    def _base_options(self) -> Iterator[Option]:
        for option in (
            self.source,
            self.destination,
            self.in_interface,
            self.out_interface,
            self.protocol,
            self.fragment,
        ):
            if option is not None:
                yield option

    def _unknown(self) -> Iterator[str]:
        for match in self.matches:
            known = MATCHES.get(match.name)
            if known is None:
                yield match.name
            else:
                yield from (option.name for option in match.options if option.name not in known)
        if self.target is not None:
            known = TARGETS.get(self.target.name, {})
            yield from (option.name for option in self.target.options if option.name not in known)
        yield from (option.name for option in self.extra)


def _option_words(option: Option, spec: OptionSpec | None) -> Iterator[str]:
    if option.negated:
        yield "!"
    yield words.bare(option.name)
    quoting = Quoting.BARE if spec is None else spec.quoting
    if quoting is Quoting.BARE:
        yield from map(words.bare, option.values)
    elif quoting is Quoting.ALWAYS:
        yield from map(words.always_quoted, option.values)
    else:
        if option.name == "--nfacct-name":
            yield ""  # `nfacct_print_name` ends with a space, `xtables_save_string` begins with one
        yield from map(words.save_string, option.values)


@attrs.define
class _Extension:
    """A match or the target while its options are being collected."""

    name: str
    known: Options
    options: list[Option] = attrs.field(factory=list)


class _Parser:
    """Walks over the words as `do_parse` in iptables/xshared.c does.

    An option belongs to the extension that was named last among those that have it
    (`xtables_merge_options` in libxtables/xtables.c).
    """

    def __init__(self, line: str, family: Family) -> None:
        self._line = line
        self._words, self._quoted = words.split_marked(line)
        self._next = 0
        self._family = family
        self._base: dict[str, Option] = {}
        self._matches: list[_Extension] = []
        self._target: _Extension | None = None
        self._goto = False
        self._last: _Extension | None = None
        self._owners: dict[str, _Extension] = {}
        self._match_names: set[str] = set()
        self._extra: list[Option] = []

    def rule(self) -> Rule:
        count = len(self._words)
        if count == 0 or 0 in self._quoted or self._words[0] not in ("-A", "--append"):
            raise self._error("a rule begins with -A and the name of its chain")
        self._next = 1
        chain = self._value("-A")
        while self._next < count:
            negated = self._takes_negation()
            if negated and (self._next >= count or self._takes_negation()):
                raise self._error("a ! with nothing to negate")
            name, quoted = self._words[self._next], self._next in self._quoted
            self._next += 1
            base = None if quoted else BASE_OPTIONS.get(name)
            if base is None:
                self._extension_option(name, quoted=quoted, negated=negated)
            else:
                self._base_option(base, name, negated=negated)
        target = None
        if self._target is not None:
            target = Target(self._target.name, tuple(self._target.options), self._goto)
        return Rule(
            chain=chain,
            source=self._base.get("-s"),
            destination=self._base.get("-d"),
            in_interface=self._base.get("-i"),
            out_interface=self._base.get("-o"),
            protocol=self._base.get("-p"),
            fragment=self._base.get("-f"),
            matches=tuple(Match(m.name, tuple(m.options)) for m in self._matches),
            target=target,
            extra=tuple(self._extra),
        )

    def _base_option(self, name: str, spelling: str, *, negated: bool) -> None:
        if name == "-m":
            self._refuse_negation(spelling, negated=negated)
            match = self._value(spelling)
            self._load_match(MATCH_NAMES.get(match, match))
        elif name in ("-j", "-g"):
            self._refuse_negation(spelling, negated=negated)
            self._load_target(self._value(spelling), goto=name == "-g")
        elif name in self._base:
            raise self._error(f"{spelling} given twice")
        elif name == "-f":
            self._base[name] = Option(name, (), negated)
        else:
            negated = self._negated_behind(negated=negated)
            self._base[name] = Option(name, (self._value(spelling),), negated)

    def _extension_option(self, name: str, *, quoted: bool, negated: bool) -> None:
        # What stood in quotes is a value, even if it looks like an option.
        extension = None if quoted else self._owners.get(name) or self._implied(name)
        if extension is None:
            home = self._extra if self._last is None else self._last.options
            home.append(Option(name, self._until_next_option(), negated))
            return
        spec = extension.known[name]
        if name in NEGATED_BEHIND:
            negated = self._negated_behind(negated=negated)
        if spec.words is None:
            values = self._until_next_option(limit=1)
        else:
            values = tuple(self._value(name) for _ in range(spec.words))
        extension.options.append(Option(spec.name, values, negated))

    def _implied(self, name: str) -> _Extension | None:
        """The match of the protocol, for an option that could not mean anything else."""
        protocol = self._base.get("-p")
        if protocol is None:
            return None
        printed = protocol_name(protocol.value)
        match = PROTOCOL_MATCHES.get(printed or "")
        if match is None or (match in ("icmp", "icmp6") and not self._icmp_of_family(match)):
            return None
        if name not in MATCHES[match] or match in self._match_names:
            return None
        if self._could_abbreviate(name):
            return None
        return self._load_match(match)

    def _icmp_of_family(self, match: str) -> bool:
        return (match == "icmp") is (self._family is Family.IPV4)

    def _could_abbreviate(self, name: str) -> bool:
        """Whether getopt_long may take `name` for the beginning of another option's name."""
        # getopt_long(3) takes the beginning of a name for the whole. Whether it is the only one
        # that begins so, nobody knows who does not know all matches of the rule.
        if not self._match_names <= MATCHES.keys():
            return True
        return any(
            option.startswith(name)
            for option in (*self._owners, *BASE_OPTIONS, *OTHER_BASE_OPTIONS)
        )

    def _load_match(self, name: str) -> _Extension:
        extension = _Extension(name, MATCHES.get(name, {}))
        self._matches.append(extension)
        self._match_names.add(name)
        self._load(extension)
        return extension

    def _load_target(self, name: str, *, goto: bool) -> None:
        if self._target is not None:
            raise self._error("more than one target")
        # -g leads to chains alone: whatever the name is, no options of a target follow.
        self._target = _Extension(name, {} if goto else TARGETS.get(name, {}))
        self._goto = goto
        self._load(self._target)

    def _load(self, extension: _Extension) -> None:
        self._last = extension
        self._owners.update(dict.fromkeys(extension.known, extension))

    def _value(self, name: str) -> str:
        if self._next >= len(self._words):
            raise self._error(f"{name} without its value")
        self._next += 1
        return self._words[self._next - 1]

    def _takes_negation(self) -> bool:
        """Whether a `!` stands here; takes it."""
        if self._words[self._next] != "!" or self._next in self._quoted:
            return False
        self._next += 1
        return True

    def _negated_behind(self, *, negated: bool) -> bool:
        """Whether the old `--option ! value` stands here; takes the `!`."""
        if len(self._words) - self._next < 2 or not self._takes_negation():
            return negated
        if negated:
            raise self._error("two ! for one option")
        return True

    def _until_next_option(self, limit: int | None = None) -> tuple[str, ...]:
        first = self._next
        most = len(self._words) if limit is None else min(first + limit, len(self._words))
        while self._next < most:
            word = self._words[self._next]
            if self._next not in self._quoted and (word == "!" or word.startswith("-")):
                break
            self._next += 1
        return tuple(self._words[first : self._next])

    def _refuse_negation(self, name: str, *, negated: bool) -> None:
        if negated:
            raise self._error(f"a ! before {name}")

    def _error(self, message: str) -> RuleSyntaxError:
        return RuleSyntaxError(message, line=self._line)

"""Walking through chains with all possibilities side by side.

Where a node has the tables of two backends, the kernel walks both: what one accepts, the other
still sees, and what either drops is gone. In nat the other is not asked once one has translated.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Protocol

import attrs

from nptables.immutable import frozen
from nptables.tracing.matching import Ask, Setting
from nptables.tracing.state import (
    ONE,
    End,
    Ended,
    Flow,
    Flows,
    Questions,
    State,
    Step,
    add,
    further,
    joined,
    pour,
    scaled,
    split,
)
from nptables.tracing.traversal.actions import Kind, note_of
from nptables.tracing.traversal.backends import either
from nptables.tracing.traversal.nat import Translator
from nptables.tracing.traversal.rulebook import CompiledRule, Rulebook
from nptables.tracing.traversal.unshown import (
    NOT_ALL_SHOWN,
    comes_to,
    divided,
    interfaces,
    not_shown,
    through_unknown,
    usual,
    usual_of,
)

# More than this is given up, and said so: no real ruleset comes near.
MOST_STATES = 1024
MOST_WORLDS = 4096
MOST_STEPS = 400_000
# nft allows 16 jumps (`NFT_JUMP_STACK_SIZE` in include/net/netfilter/nf_tables.h); legacy allows as
# many as a table has chains.
DEEPEST = 60
TOO_DEEP = f"more than {DEEPEST} chains call one another"
TOO_MANY = f"more than {MOST_STEPS} rules: not followed further"
_MANY_STATES = 32


class NodeView(Setting, Translator, Protocol):
    """Everything a rule may look at: see Setting and Translator."""


@attrs.define
class Budget:
    """How many rules may still be looked at."""

    left: int = MOST_STEPS


@frozen
class _Call:
    """The chain that is being walked, and the chains that led to it."""

    book: Rulebook
    hook: str
    table: str
    chains: tuple[str, ...]

    @property
    def chain(self) -> str:
        return self.chains[-1]

    @property
    def is_open(self) -> bool:
        return self.book.is_open(self.table)

    def into(self, chain: str) -> _Call:
        return attrs.evolve(self, chains=(*self.chains, chain))


class Walker:
    """Walks the tables of one node; `ended` collects what did not get through."""

    def __init__(
        self,
        books: Sequence[Rulebook],
        view: NodeView,
        questions: Questions,
        budget: Budget,
        unknown_tables: Collection[str] = (),
    ) -> None:
        self._books = books
        self._unknown_tables = unknown_tables
        self._view = view
        self._questions = questions
        self._budget = budget
        self._accepted: Flows = {}
        self._translated: Flows = {}
        self._most_states = MOST_STATES
        self.ended: list[Ended] = []

    @cached_property
    def _tested_mark_bits(self) -> int:
        bits = 0
        for book in self._books:
            bits |= book.tested_mark_bits
        return bits

    def table(self, hook: str, table: str, flows: Flows) -> Flows:
        """What is left of the flows after a table at a hook, in every backend."""
        unknown = [book for book in self._books if self._is_unknown(book, table)]
        acting = [b for b in self._books if b not in unknown and b.acts(table, hook)]
        if table == "nat":
            # A known rule translates only what an unknown one has not translated before it.
            return self._known(acting, hook, table, self._unknown(unknown, hook, table, flows))
        # What a known rule drops is gone, whatever unknown ones do.
        return self._unknown(unknown, hook, table, self._known(acting, hook, table, flows))

    def _is_unknown(self, book: Rulebook, table: str) -> bool:
        unknown = table in self._unknown_tables or table in book.ruleset.unshown.tables
        return unknown or book.is_unprintable(table)

    def _unknown(self, books: Sequence[Rulebook], hook: str, table: str, flows: Flows) -> Flows:
        """What is left of the flows after tables whose contents are unknown."""
        for book in books:
            flows, ended = through_unknown(
                book, self._view.place, hook, table, flows, self._questions
            )
            self.ended += ended
        return flows

    def _known(self, books: Sequence[Rulebook], hook: str, table: str, flows: Flows) -> Flows:
        if len(books) < 2 or not flows:
            return self._in_turn(books, hook, table, flows)
        return self._in_either_order(books, hook, table, flows)

    def _in_either_order(
        self, books: Sequence[Rulebook], hook: str, table: str, flows: Flows
    ) -> Flows:
        """See `nptables.tracing.traversal.backends`."""
        passed, ended = self._apart(books, hook, table, flows)
        passed_too, ended_too = self._apart(books[::-1], hook, table, flows)

        def question() -> int:
            return self._order(hook, table, books[0].label, books[1].label)

        self.ended += [
            Ended(end, state, flow, step, text)
            for (end, state, step, text), flow in either(ended, ended_too, question).items()
        ]
        return either(passed, passed_too, question)

    def _apart(
        self, books: Sequence[Rulebook], hook: str, table: str, flows: Flows
    ) -> tuple[Flows, dict[tuple[End, State, Step | None, str], Flow]]:
        """What is left of the flows after one order, and what ended, which nobody else sees."""
        before, self.ended = self.ended, []
        passed = self._in_turn(books, hook, table, flows)
        ended: dict[tuple[End, State, Step | None, str], Flow] = {}
        for end, state, flow, step, text in self.ended:
            add(ended, (end, state, step, text), flow)
        self.ended = before
        return passed, ended

    def _order(self, hook: str, table: str, first: str, second: str) -> int:
        """The question whether the first backend's chain at a hook comes before the second's."""
        where = f"at {table} {hook}"
        number, _ = self._questions.number(
            ("order", self._view.place, table, hook),
            f"{where} the {first} rules come first (their chain was hooked in last)",
            f"{where} the {second} rules come first (their chain was hooked in last)",
        )
        self._questions.orders.add(number)
        return number

    def _in_turn(self, books: Sequence[Rulebook], hook: str, table: str, flows: Flows) -> Flows:
        """What is left of the flows after the chains of one backend after the other."""
        translated: Flows = {}
        for book in books:
            if flows:
                flows = self._built_in(_Call(book, hook, table, (hook,)), flows)
                pour(translated, self._translated)
        return joined((translated, flows)) if translated else flows

    def _built_in(self, call: _Call, flows: Flows) -> Flows:
        """What is left of the flows after a chain at a hook, but for those that it translated."""
        self._accepted, self._translated = {}, {}
        self._most_states = max(MOST_STATES, 4 * len(flows))
        through = self._chain(call, flows)
        for name in call.book.unreached(call.table, call.hook) if call.is_open else ():
            question = comes_to(call.table, name, self._view.place)
            past, into = divided(through, question, self._questions)
            through = joined((past, self._chain(call.into(name), into) if into else {}))
        if call.book.policy(call.table, call.hook) == "DROP":
            for state, flow in through.items():
                step = self._step(call, f":{call.hook} DROP", "policy")
                self._end(End.DROPPED, state, flow, step, "")
        else:
            pour(self._accepted, through)
        return self._accepted

    def _chain(self, call: _Call, flows: Flows) -> Flows:
        """Walk a chain; what comes back to the caller."""
        compiled = call.book.chain(call.table, call.chain)
        if call.is_open:
            flows = self._unless_not_shown(call, flows)
            if compiled is None:
                return self._usual(call, flows)
        problem = ""
        if compiled is None:
            problem = f"a rule jumps to chain {call.chain}, which table {call.table} does not have"
        elif call.chain in call.chains[:-1]:
            # The kernel refuses such a table (`mark_source_chains` in
            # net/ipv4/netfilter/ip_tables.c), so this is a dump that somebody edited, or put
            # together from several.
            problem = f"chain {call.chain} is reached from within itself: a loop"
        elif len(call.chains) > DEEPEST:
            problem = TOO_DEEP
        if compiled is None or problem:
            self._give_up(flows, call, problem)
            return {}
        returned: Flows = {}
        for position in compiled.candidates(flows):
            if not flows:
                break
            if self._budget.left <= 0:
                self._give_up(flows, call, TOO_MANY)
                return returned
            self._budget.left -= len(flows)
            rule = compiled.rule(position)
            if rule.action.kind is Kind.NEXT:
                continue
            matched, flows = self._matched(rule, flows)
            if matched:
                flows = self._act(call, rule, matched, flows, returned)
        return joined((flows, returned))

    def _unless(
        self, question: tuple[Hashable, str, str, str], flows: Flows, call: _Call, line: str = ""
    ) -> Flows:
        """The flows where the answer to a question is no; elsewhere nothing more is known."""
        unknown, known = divided(flows, question, self._questions)
        for state, flow in unknown.items():
            step = self._step(call, line, "" if line else NOT_ALL_SHOWN)
            self._end(End.UNKNOWN, state, flow, step, question[3])
        return known

    def _unless_not_shown(self, call: _Call, flows: Flows) -> Flows:
        """The flows on their way into a chain of an open table, unless what is not shown matters.

        That the table is not all there is a step of each hook.
        """
        flows = self._unless(not_shown(call.book.label, self._view.place), flows, call)
        if len(call.chains) > 1:
            return flows
        step = self._step(call, "", NOT_ALL_SHOWN)
        return {s: Flow(flow.weights, further(flow.trail, step)) for s, flow in flows.items()}

    def _usual(self, call: _Call, flows: Flows) -> Flows:
        """The flows behind a chain that is not shown, as far as its name says what it does."""
        does = usual_of(call.table, call.chain)
        if does is None or not flows:
            return flows
        if does.translates:
            self._give_up(flows, call, f"sent to chain {call.chain}, which is not shown")
            return {}
        if not does.drops:
            marked: Flows = {}
            for state, flow in flows.items():
                add(marked, state._replace(mark=state.mark | does.mark), flow)
            return marked
        flows = self._unless(usual(call.table, call.chain, self._view.place), flows, call)
        for state, flow in flows.items():
            # What is dropped in the end is dropped for the rule that jumps there.
            step = flow.trail.step if flow.trail is not None else self._step(call, "")
            self.ended.append(Ended(End.DROPPED, state, flow, step, ""))
        return {}

    def _act(
        self, call: _Call, rule: CompiledRule, matched: Flows, flows: Flows, returned: Flows
    ) -> Flows:
        """Carry out a rule's action; what goes on to the next rule."""
        if call.book.lacks_interfaces(call.table):
            question = interfaces(call.book.label, self._view.place)
            matched = self._unless(question, matched, call, rule.line)
        action = rule.action
        if action.kind in (Kind.DROP, Kind.REFUSE, Kind.UNKNOWN):
            end = {
                Kind.DROP: End.DROPPED, Kind.REFUSE: End.REFUSED, Kind.UNKNOWN: End.UNKNOWN,
            }[action.kind]  # fmt: skip
            for state, flow in matched.items():
                self._end(end, state, flow, self._step(call, rule.line), action.text)
            return flows
        after = self._changed(call, rule, matched)
        if action.kind is Kind.ACCEPT:
            pour(self._accepted, after)
        # A translation ends the table, as ACCEPT does, but also for the other backend: the entry of
        # the connection has its translation then.
        elif action.kind is Kind.TRANSLATE:
            pour(self._translated, after)
        elif action.kind is Kind.RETURN:
            pour(returned, after)
        elif action.kind is Kind.GOTO:
            # --goto leaves no place to come back to: what returns from there goes on where this
            # chain returns to (iptables(8), --goto).
            pour(returned, self._chain(call.into(action.chain), after))
        else:
            # Whatever comes back goes on with the next rule, together with what did not match.
            if action.kind is Kind.JUMP:
                after = self._chain(call.into(action.chain), after)
            return self._bounded(joined((flows, after)), call)
        return flows

    def _changed(self, call: _Call, rule: CompiledRule, matched: Flows) -> Flows:
        """The flows after an action, each with a step more on its trail."""
        after: Flows = {}
        change = rule.action.change
        for state, flow in matched.items():
            new = state if change is None else change(state, self._view)
            step = self._step(call, rule.line, note_of(rule.action, state, new))
            add(after, new, Flow(flow.weights, further(flow.trail, step)))
        return after

    def _matched(self, rule: CompiledRule, flows: Flows) -> tuple[Flows, Flows]:
        """What a rule matches and what it does not."""
        matched: Flows = {}
        rest: Flows = {}
        for state, flow in flows.items():
            chance, open_questions = self._judged(rule, state)
            # Most rules match surely or surely not, and those cost no new weights.
            if chance == 0:
                add(rest, state, flow)
            elif chance == 1 and not open_questions:
                add(matched, state, flow)
            else:
                self._share(rule, state, flow, matched, rest)
        return matched, rest

    def _judged(self, rule: CompiledRule, state: State) -> tuple[Fraction, bool]:
        """How likely a match is, questions apart, and whether there are any."""
        chance, open_questions = ONE, False
        for condition in rule.conditions:
            answer = condition(state, self._view)
            if answer is False:
                return Fraction(0), False
            if answer is True:
                continue
            if isinstance(answer, Ask):
                open_questions = True
            else:
                chance *= answer
        return chance, open_questions

    def _share(
        self, rule: CompiledRule, state: State, flow: Flow, matched: Flows, rest: Flows
    ) -> None:
        """Split one flow by the answers to questions, then by chance."""
        weights, chance = flow.weights, ONE
        for condition in rule.conditions:
            answer = condition(state, self._view)
            if answer is False or not weights:
                add(rest, state, Flow(weights, flow.trail))
                return
            if answer is True:
                continue
            if isinstance(answer, Fraction):
                chance *= answer
                continue
            question, fresh = self._questions.number(
                answer.key, answer.text, answer.otherwise, answer.about, answer.check
            )
            yes, no = split(weights, question, fresh=fresh)
            holding, failing = (yes, no) if answer.holds_if else (no, yes)
            states = (answer.yes, answer.no) if answer.holds_if else (answer.no, answer.yes)
            if failing:
                add(rest, states[1], Flow(failing, flow.trail))
            weights, state = holding, states[0]
        if not weights:
            return
        if chance > 0:
            add(matched, state, Flow(scaled(weights, chance), flow.trail))
        if chance < 1:
            add(rest, state, Flow(scaled(weights, 1 - chance), flow.trail))

    def _bounded(self, flows: Flows, call: _Call) -> Flows:
        """The flows, with what makes no difference forgotten where there are many."""
        if len(flows) <= max(_MANY_STATES, self._most_states // 4):
            return flows
        # Marks are most often what tells so many states apart, and few bits of them are ever asked
        # for.
        bits = self._tested_mark_bits
        fewer: Flows = {}
        for state, flow in flows.items():
            add(fewer, state._replace(mark=state.mark & bits), flow)
        if len(fewer) > self._most_states or any(
            len(f.weights) > MOST_WORLDS for f in fewer.values()
        ):
            self._give_up(fewer, call, "too many possibilities: not followed further")
            return {}
        return fewer

    def _give_up(self, flows: Flows, call: _Call, text: str) -> None:
        for state, flow in flows.items():
            self._end(End.UNKNOWN, state, flow, self._step(call, "", text), text)

    def _end(self, end: End, state: State, flow: Flow, step: Step, text: str) -> None:
        trail = further(flow.trail, step)
        self.ended.append(Ended(end, state, Flow(flow.weights, trail), step, text))

    def _step(self, call: _Call, line: str, note: str = "") -> Step:
        return Step(
            self._view.place,
            call.hook,
            call.table,
            call.chain,
            line,
            note,
            len(call.chains) - 1,
            call.book.label,
        )

"""Nodes of made fleets: the faulty ones are found with the right cause, and no others."""

from __future__ import annotations

import pickle
import random
import re
from collections.abc import Iterator
from datetime import timedelta

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nptables import Cluster, Family, InvalidInput, ProxyConfig, Ruleset, translate
from nptables.auditing import Movement, NodeResult, Verdict, audit, group_causes, table_lines
from nptables.auditing.differing import Differing
from nptables.auditing.sharing import Expected, Sharing
from nptables.evidence import Evidence, Form, Process
from nptables.evidence.snapshot import Snapshot, TableText, snapshot_in, to_document
from nptables.sources.evidence import evidence_in
from tests.support.fleets import CONFIG, ILLNESSES, NOW, Fleet, edited, ill_nodes, lived, snapshots

FLEET = Fleet(nodes=30, services=20)
LEFT_OVER = "KUBE-SEP-AAAAAAAAAAAAAAAA"


def _judged(number: int, evidence: Evidence | Snapshot, **options: object) -> NodeResult:
    given = {"configuration": CONFIG, "movements": (), **options}
    (found,) = audit(FLEET.cluster, {FLEET.name(number): evidence}, **given)  # type: ignore[arg-type]
    return found


def _as_text(evidence: Evidence) -> Snapshot:
    """A snapshot as it comes out of a file: the tables are text, with counters."""
    return snapshot_in(to_document(evidence))


@pytest.mark.parametrize("as_text", [False, True])
def test_every_ill_node_has_the_right_cause_and_no_healthy_one_is_accused(*, as_text: bool) -> None:
    """One node is ill in each way, the others run three versions of kube-proxy."""
    ill = ill_nodes(FLEET)
    found: dict[str, set[str]] = {}
    pairs = ((n, _as_text(e) if as_text else e) for n, e in snapshots(FLEET, ill))
    for result in audit(FLEET.cluster, pairs, configuration=CONFIG, movements=()):
        found[result.name] = {cause.code.code for cause in result.causes}
    wanted = {
        FLEET.name(number): {ILLNESSES[ill[number]][0]} if number in ill else set()
        for number in range(FLEET.nodes)
    }
    assert found == wanted


@pytest.mark.parametrize("version", ["1.28", "1.30", "1.36"])
@pytest.mark.parametrize("family", list(Family))
def test_what_nodes_share_gives_the_rules_of_each_node(version: str, family: Family) -> None:
    """The rules put together for a node are those that are made for it alone."""
    config = ProxyConfig.from_kube_proxy(CONFIG, version=version)
    sharing = Sharing(FLEET.cluster, {})
    for number in range(FLEET.nodes):
        node = FLEET.node(number)
        alone = translate(FLEET.cluster, node, config, family)
        assert sharing.expected(node, config, family).translation.tables == alone.tables


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_line_that_is_lost_doubled_or_moved_is_noticed(data: st.DataObject) -> None:
    """The text of a node's tables passes unparsed only where nothing in it is otherwise."""
    number = data.draw(st.integers(0, FLEET.nodes - 1))
    family = data.draw(st.sampled_from(list(Family)))
    rules = FLEET.rules(number, families=(family,))
    table = data.draw(st.sampled_from(["nat", "filter"]))
    chains = [
        c for c, lines in rules[0].tables[table].chains.items()
        if c.startswith("KUBE-") and c != "KUBE-FIREWALL" and lines
    ]  # fmt: skip
    chain = data.draw(st.sampled_from(chains))
    lines = rules[0].tables[table].chains[chain]
    place = data.draw(st.integers(0, len(lines) - 1))
    how = data.draw(st.sampled_from(["lost", "doubled", "strange", "changed"]))
    changed = {
        "lost": (*lines[:place], *lines[place + 1 :]),
        "doubled": (*lines[: place + 1], *lines[place:]),
        "changed": (*lines[:place], f"{lines[place]}X", *lines[place + 1 :]),
        "strange": (*lines[:place], f"-A {chain} -s 203.0.113.7/32 -j RETURN", *lines[place:])
        if family is Family.IPV4
        else (*lines[:place], f"-A {chain} -s 2001:db8:f::7/128 -j RETURN", *lines[place:]),
    }[how]

    def edit(content: dict[str, tuple[str, ...]]) -> None:
        content[chain] = changed

    config = ProxyConfig.from_kube_proxy(CONFIG, version=FLEET.version(number))
    expected = Sharing(FLEET.cluster, {}).expected(FLEET.node(number), config, family)
    right = table_lines.tables_in(rules[0].to_save())
    wrong = table_lines.tables_in(edited(rules, table, edit)[0].to_save())
    assert right is not None
    assert wrong is not None
    assert table_lines.fits(right, expected)
    assert not table_lines.fits(wrong, expected)


def _texts_and_expected(number: int, *, counted: bool) -> tuple[str, Expected]:
    """The IPv4 tables of a right node as iptables-save prints them, and what is expected there."""
    config = ProxyConfig.from_kube_proxy(CONFIG, version=FLEET.version(number))
    expected = Sharing(FLEET.cluster, {}).expected(FLEET.node(number), config, Family.IPV4)
    rules = FLEET.rules(number, families=(Family.IPV4,))[0]
    text = rules.to_save()
    if not counted:
        text = re.sub(r"(?m)^\[\d+:\d+\] ", "", text)
    return text, expected


def _fits(text: str, expected: Expected) -> bool:
    tables = table_lines.tables_in(text)
    return tables is not None and table_lines.fits(tables, expected)


@pytest.mark.parametrize("counted", [True, False])
def test_the_order_of_chains_means_nothing_to_the_text(*, counted: bool) -> None:
    """Older programs print chains in the order in which they were made."""
    text, expected = _texts_and_expected(3, counted=counted)
    order = random.Random(4)
    turned = []
    for table in Ruleset.from_save(text).tables.values():
        chains = list(table.chains)
        order.shuffle(chains)
        turned += [f"*{table.name}", *(f":{c} {table.policies.get(c, '-')} [0:0]" for c in chains)]
        turned += [line for chain in chains for line in table.chains[chain]]
        turned.append("COMMIT\n")
    assert _fits(text, expected)
    assert _fits("\n".join(turned), expected)


def test_the_text_passes_only_with_both_tables_and_the_node_ports_behind_the_services() -> None:
    text, expected = _texts_and_expected(3, counted=False)
    tables = {table.split("\n", 1)[0]: table for table in re.split(r"(?m)^(?=\*)", text) if table}
    nat = tables["*nat"]
    services = re.findall(r"(?m)^-A KUBE-SERVICES .*\n", nat)
    moved = nat.replace("".join(services), "".join([services[-1], *services[:-1]]))

    assert "-j KUBE-NODEPORTS" in services[-1]
    assert moved != nat
    assert _fits("".join(tables.values()), expected)
    assert not _fits("".join({**tables, "*filter": ""}.values()), expected)
    assert not _fits("".join({**tables, "*nat": moved}.values()), expected)


@pytest.mark.parametrize("counted", [True, False])
def test_chains_too_many_twice_or_not_declared_are_noticed(*, counted: bool) -> None:
    """Each is one that no iptables-save prints for the rules that are expected."""
    text, expected = _texts_and_expected(3, counted=counted)
    declared = next(line for line in text.splitlines() if line.startswith(":KUBE-SVC-"))
    other = ":KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]"
    assert _fits(text, expected)
    assert not _fits(text.replace(declared, f"{declared}\n{other}"), expected)
    assert not _fits(text.replace(declared, other), expected)
    assert not _fits(text.replace(declared, f"{declared}\n{declared}"), expected)
    assert not _fits(text.replace(f"{declared}\n", ""), expected)
    assert not _fits(text.replace(":KUBE-MARK-MASQ - [0:0]\n", ""), expected)
    assert not _fits(text.replace(declared, f"{declared}\n*filter"), expected)
    # Behind the end of a table, as where a line was lost.
    assert not _fits(text.replace("COMMIT", f"COMMIT\n{other}", 1), expected)
    # A rule in a chain that is not declared.
    mark = "[0:0] " if counted else ""
    strange = f"{mark}-A KUBE-SVC-AAAAAAAAAAAAAAAA -j DROP\nCOMMIT"
    assert not _fits(text.replace("COMMIT", strange, 1), expected)


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_what_passes_unparsed_is_no_difference_to_the_comparison_of_rules(
    data: st.DataObject,
) -> None:
    """However lines are lost, doubled and moved: what does not parse never passes."""
    text, expected = _texts_and_expected(3, counted=data.draw(st.booleans()))
    lines = text.split("\n")
    place = st.integers(0, len(lines) - 4)
    for how in data.draw(st.lists(st.sampled_from(["lost", "doubled", "moved"]), max_size=2)):
        first, other, count = data.draw(place), data.draw(place), data.draw(st.integers(1, 3))
        block = lines[first : first + count]
        if how != "doubled":
            del lines[first : first + count]
        if how != "lost":
            lines[other:other] = block
    changed = "\n".join(lines)
    if _fits(changed, expected):
        current = Ruleset.from_save(changed, family=Family.IPV4)
        assert not Differing.between(current, expected.translation)


def test_a_line_break_in_a_comment_of_others_is_for_the_parser() -> None:
    """The text of such a rule looks like two, and the second may look like anything."""
    text, expected = _texts_and_expected(3, counted=True)
    rule = '[0:0] -A CNI-HOSTPORT-MASQ -m comment --comment "a\n-A KUBE-SERVICES -j DROP" -j RETURN'
    assert not _fits(text.replace("COMMIT", f"{rule}\nCOMMIT", 1), expected)


def test_rules_that_only_read_otherwise_are_cosmetic() -> None:
    """Comments that kube-proxy leaves out in a large cluster decide nothing."""

    def edit(content: dict[str, tuple[str, ...]]) -> None:
        for chain, lines in content.items():
            if chain.startswith("KUBE-SEP-"):
                content[chain] = tuple(_without_comment(line) for line in lines)

    found = _judged(3, FLEET.evidence(3, edited(FLEET.rules(3), "nat", edit)))
    assert (found.verdict, found.causes) == (Verdict.COSMETIC, ())


def _without_comment(line: str) -> str:
    before, _, rest = line.partition(' -m comment --comment "')
    return f"{before}{rest.partition(chr(34))[2]}" if rest else line


def test_a_chain_that_nothing_leads_to_is_cosmetic_where_comments_are_missing_too() -> None:
    """The two states are cut down to some Services by their comments, which both have or lack."""
    text = re.sub(r' -m comment --comment (?:"[^"]*"|\S+)', "", FLEET.rules(1)[0].to_save())
    start = text.index("*nat")
    nat = text[start:].replace(":KUBE-SVC-", f":{LEFT_OVER} - [0:0]\n:KUBE-SVC-", 1)
    nat = nat.replace("\nCOMMIT", f"\n-A {LEFT_OVER} -j RETURN\nCOMMIT", 1)
    evidence = Evidence(Form.SAVED, (Ruleset.from_save(text[:start] + nat),))

    assert _judged(1, evidence).verdict is Verdict.COSMETIC


def test_a_node_whose_services_another_program_handles_is_unknown() -> None:
    """Nothing is said against a node with kube-proxy in mode nftables."""
    empty = Ruleset.from_save("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n*filter\nCOMMIT\n")
    process = attrs.evolve(FLEET.process(3), mode="nftables")
    found = _judged(3, FLEET.evidence(3, [empty], processes=(process,)))
    assert (found.verdict, [c.code.code for c in found.causes]) == (Verdict.UNKNOWN, ["NPT613"])


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (Evidence(Form.SNAPSHOT), "it has no tables"),
        (evidence_in(""), "it is empty"),
        (
            Evidence(Form.FRAGMENT, tuple(FLEET.rules(3))),
            "it holds a part of the rules only",
        ),
        (
            Snapshot(
                (TableText("nft", Family.IPV4, "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROU"),),
                Evidence(Form.SNAPSHOT),
            ),
            "its tables are cut off or damaged",
        ),
    ],
)
def test_what_cannot_be_judged_says_why(evidence: Evidence | Snapshot, why: str) -> None:
    """No half of a node is ever compared."""
    found = _judged(3, evidence)
    assert (found.verdict, found.causes[0].code.code) == (Verdict.UNREADABLE, "NPT612")
    assert why in found.causes[0].message


@pytest.mark.parametrize(
    ("names", "code"),
    [((), "NPT602"), (("rke2",), "NPT602"), (("k3s-server",), "NPT601"), (("kubelite",), "NPT601")],
)
def test_a_program_with_kube_proxy_in_it_is_not_a_stopped_one(
    names: tuple[str, ...], code: str
) -> None:
    """k3s and MicroK8s run it in their own process; RKE2 starts one of its own."""
    processes = tuple(Process(name, 7) for name in names)
    evidence = FLEET.evidence(7, FLEET.rules(7, FLEET.old), processes=processes)
    assert [cause.code.code for cause in _judged(7, evidence).causes] == [code]


def test_nodes_with_one_cause_are_one_cause() -> None:
    """Equal causes are grouped, with all nodes and Services and one example."""
    ill = {3: "masqueradeAll", 9: "masqueradeAll", 4: "damaged chain", 7: "behind"}
    fleet = attrs.evolve(FLEET, nodes=10)
    results = audit(fleet.cluster, snapshots(fleet, ill), configuration=CONFIG, movements=())
    causes = group_causes(results)
    assert [(c.code.code, c.nodes) for c in causes] == [
        ("NPT601", ("node7",)),
        ("NPT609", ("node4",)),
        ("NPT604", ("node3", "node9")),
    ]
    assert causes[2].about == "iptables.masqueradeAll: true"
    assert "by the cluster" in causes[0].example
    # Sixteen to nineteen were changed last, nineteen is new.
    assert causes[0].services == tuple(
        sorted("/".join(fleet.key(number)) for number in range(16, 20))
    )
    assert "since 2026-05-18 11:20:00Z" in causes[0].message


def _moving(fleet: Fleet, changes: int) -> Iterator[tuple[Movement, Cluster]]:
    """Changes as they come while nodes are read, and the cluster after each."""
    chance = random.Random(5)
    cluster = fleet.cluster
    for count in range(changes):
        number = chance.randrange(fleet.services)
        raw = fleet.slice(
            number, Family.IPV4, first=chance.randrange(3), count=chance.randrange(1, 6)
        )
        objects = [raw]
        if number % 7 == 0:
            service = fleet.service(number)
            service["spec"]["ports"][0]["nodePort"] = 25000 + count
            objects.append(service)
        read = Cluster.from_objects(objects, lenient=True)
        for key, found in read.slices.items():
            cluster = attrs.evolve(cluster, slices={**cluster.slices, key: found})
            yield Movement(float(count), service=False, key=key, value=found), cluster
        for key, service in read.services.items():
            cluster = attrs.evolve(cluster, services={**cluster.services, key: service})
            yield Movement(float(count), service=True, key=key, value=service), cluster


@pytest.mark.parametrize("as_text", [False, True])
def test_what_moves_while_nodes_are_read_is_held_against_nobody(*, as_text: bool) -> None:
    """Each node has some state of each Service, and one of another time is still found out."""
    fleet = Fleet(nodes=9, services=20)
    moved = list(_moving(fleet, 40))
    chance = random.Random(3)

    def of(number: int) -> Evidence:
        cluster = chance.choice(moved)[1]
        return fleet.evidence(number, fleet.rules(number, cluster))

    pairs = [(fleet.name(n), of(n)) for n in range(fleet.nodes)]
    pairs[4] = (fleet.name(4), ILLNESSES["damaged chain"][1](fleet, 4))
    pairs[5] = (fleet.name(5), fleet.evidence(5, fleet.rules(5, fleet.old)))
    later = fleet.at(moved[20][1])
    pairs[6] = (fleet.name(6), ILLNESSES["other version"][1](later, 6))
    pairs[7] = (fleet.name(7), ILLNESSES["other name"][1](later, 7))
    given = [(name, _as_text(e) if as_text else e) for name, e in pairs]
    seen = [movement for movement, _ in moved]
    results = list(audit(fleet.cluster, given, configuration=CONFIG, movements=seen))
    wrong = {r.name for r in results if r.verdict is not Verdict.OK}
    assert wrong == {"node4", "node5", "node6", "node7"}
    found = {r.name: [cause.code.code for cause in r.causes] for r in results}
    assert (found["node6"], found["node7"]) == (["NPT608"], ["NPT603"])
    assert results[0].in_flight > 0
    # Without what was seen to move, many would be accused.
    unseen = audit(fleet.cluster, given, configuration=CONFIG, movements=())
    assert sum(r.verdict is Verdict.DIFFERS for r in unseen) > 6


@pytest.mark.parametrize(("seconds", "verdict"), [(5, Verdict.OK), (15, Verdict.DIFFERS)])
def test_without_a_watch_what_changed_shortly_before_counts_as_on_its_way(
    seconds: int, verdict: Verdict
) -> None:
    """Within the grace of ten seconds nothing is concluded, and beyond it is."""
    fleet = Fleet(nodes=3, services=20)
    raw = fleet.slice(3, Family.IPV4, first=2)
    changed = (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    key = "endpoints.kubernetes.io/last-change-trigger-time"
    raw["metadata"]["annotations"] = {key: changed}
    read = Cluster.from_objects([raw], lenient=True)
    cluster = attrs.evolve(fleet.cluster, slices={**fleet.cluster.slices, **read.slices})
    (found,) = audit(cluster, {"node1": fleet.evidence(1)}, configuration=CONFIG)
    assert (found.verdict, found.in_flight) == (verdict, int(verdict is Verdict.OK))


def test_the_backend_that_is_not_kube_proxys_may_hold_anything_but_services() -> None:
    """Empty legacy tables beside those of nft change nothing, those with Services do."""
    rules = FLEET.rules(3)
    beside = attrs.evolve(
        Ruleset.from_save("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"), backend="legacy"
    )
    assert _judged(3, FLEET.evidence(3, [*rules, beside])).verdict is Verdict.OK
    twice = attrs.evolve(lived(rules[0], random.Random(1)), backend="legacy")
    found = _judged(3, FLEET.evidence(3, [*rules, twice]))
    assert [cause.code.code for cause in found.causes] == ["NPT607"]


def test_an_example_says_whose_source_is_hidden() -> None:
    """The node translates the source of all packets, the cluster's configuration does not."""
    (cause,) = _judged(0, ILLNESSES["masqueradeAll"][1](FLEET, 0)).causes

    here, cluster = cause.example.split(", by the cluster ")
    assert here.endswith("or one of 3 more, its source hidden")
    assert cluster.endswith("or one of 3 more")


def test_a_node_in_none_of_the_states_is_held_to_the_last() -> None:
    """The cluster had the first endpoint, then the second; the node has the third."""
    states = [
        Cluster.from_objects([FLEET.slice(0, Family.IPV4, first=first, count=1)], lenient=True)
        for first in range(3)
    ]
    moved = [
        Movement(float(number), service=False, key=key, value=found)
        for number, state in enumerate(states[:2])
        for key, found in state.slices.items()
    ]
    third = attrs.evolve(FLEET.cluster, slices={**FLEET.cluster.slices, **states[2].slices})

    result = _judged(0, FLEET.evidence(0, FLEET.rules(0, third)), movements=moved)

    (cause,) = result.causes
    assert "here it reaches 10.0.0.2:8080" in cause.example
    assert "by the cluster it reaches 10.0.0.1:8080" in cause.example
    assert result.in_flight == 0
    for number, state in enumerate(states[:2]):
        cluster = attrs.evolve(FLEET.cluster, slices={**FLEET.cluster.slices, **state.slices})
        found = _judged(0, FLEET.evidence(0, FLEET.rules(0, cluster)), movements=moved)
        assert (found.verdict, found.in_flight) == (Verdict.OK, 1), number


@pytest.mark.parametrize("as_text", [False, True])
def test_facts_that_nobody_told_are_read_from_the_rules(*, as_text: bool) -> None:
    """Without them the rules of a node with an old iptables would differ in every Service."""
    told = FLEET.facts(0)
    old = attrs.evolve(FLEET.node(0), facts=attrs.evolve(told, random_fully=False))
    untold = attrs.evolve(told, random_fully=True, told=told.told - {"randomFully"})
    evidence = FLEET.evidence(0, FLEET.rules(0, node=old), facts=untold)

    assert _judged(0, _as_text(evidence) if as_text else evidence).verdict is Verdict.OK
    # Who tells a fact is believed.
    wrong = FLEET.evidence(0, FLEET.rules(0, node=old), facts=told)
    assert _judged(0, wrong).verdict is not Verdict.OK


def test_a_rule_stands_in_front_of_nothing_where_the_jumps_are_missing() -> None:
    """Not the rule that drops is to blame, but that nothing leads to the chains behind it."""
    drop = "-A FORWARD -p tcp -m tcp --dport 8080 -j DROP"

    def edit(content: dict[str, tuple[str, ...]]) -> None:
        content["FORWARD"] = (drop,)

    evidence = FLEET.evidence(0, edited(FLEET.rules(0), "filter", edit))

    assert "NPT605" in {
        c.code.code for c in _judged(0, ILLNESSES["foreign rule"][1](FLEET, 0)).causes
    }
    assert "NPT605" not in {c.code.code for c in _judged(0, evidence).causes}


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("table", ["raw", "mangle", "filter"])
def test_a_rule_that_drops_in_an_earlier_table_or_between_the_jumps_is_in_front(
    table: str, *, as_text: bool
) -> None:
    """Packets to all Services come to the hook of raw and mangle, and most to KUBE-FORWARD."""
    first, *others = FLEET.rules(0)
    drop = "-A PREROUTING -p tcp -j DROP"
    text = f"{first.to_save()}*{table}\n:PREROUTING ACCEPT [0:0]\n{drop}\nCOMMIT\n"
    if table == "filter":
        drop = "-A FORWARD -p tcp -j DROP"
        jump = next(x for x in first.lines("filter", "FORWARD") if x.endswith(" KUBE-FORWARD"))
        text = first.to_save().replace(jump, f"{drop}\n{jump}")
    changed = Ruleset.from_save(text, family=Family.IPV4)
    evidence = FLEET.evidence(0, [changed, *others])

    found = _judged(0, _as_text(evidence) if as_text else evidence)

    assert [(c.code.code, c.about) for c in found.causes] == [("NPT605", f"IPv4 {table}: {drop}")]


def test_reasons_of_nodes_that_cannot_be_judged_are_counted() -> None:
    """A reason whose beginning says it all is one for all nodes, whatever follows."""
    why = [
        "its tables are cut off or damaged: line 3",
        "its tables are cut off or damaged: line 9",
        "Node: no",
    ]
    results = [NodeResult.unreadable(f"node{n}", each) for n, each in enumerate(why)]

    # Other processes judge, and send what they found.
    (cause,) = group_causes(pickle.loads(pickle.dumps(results)))

    assert cause.message == "its tables are cut off or damaged (2); Node: no (1)"


@pytest.mark.parametrize(("table", "other"), [("nat", "filter"), ("filter", "nat")])
def test_nothing_is_concluded_from_a_dump_without_a_table_that_services_have_rules_in(
    table: str, other: str
) -> None:
    """`iptables-save -t filter` prints one table, and the node may well have the other one."""
    rules = FLEET.rules(0)[0]
    alone = attrs.evolve(rules, tables={table: rules.tables[table]}).to_save()

    found = _judged(0, evidence_in(alone))

    assert found.verdict is Verdict.UNREADABLE
    said = f"the dump has no IPv4 table {other}: its rules are unknown"
    assert [cause.message for cause in found.causes] == [said]


def test_a_node_without_kube_proxy_and_without_its_rules_is_flushed_and_not_somebody_elses() -> (
    None
):
    """Everything was looked at: no other program is there that could do the work."""
    bare = "".join(
        f"*{table}\n" + "".join(f":{hook} ACCEPT [0:0]\n" for hook in hooks) + "COMMIT\n"
        for table, hooks in (
            ("nat", ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")),
            ("filter", ("INPUT", "FORWARD", "OUTPUT")),
        )
    )
    flushed = [Ruleset.from_save(bare, family=family) for family in Family]
    evidence = attrs.evolve(FLEET.evidence(0, flushed), native=(), processes=())

    found = _judged(0, evidence)

    assert found.verdict is Verdict.DIFFERS
    assert {cause.code.code for cause in found.causes} == {"NPT606"}


def test_a_version_that_is_none_is_not_taken_for_the_newest() -> None:
    with pytest.raises(InvalidInput, match='"newest" is not a version'):
        _judged(0, FLEET.evidence(0, FLEET.rules(0)), version="newest")


def test_a_snapshot_of_a_node_that_the_cluster_does_not_have_is_not_judged() -> None:
    (found,) = audit(FLEET.cluster, {"stranger": Evidence(Form.SAVED, FLEET.rules(0))})

    assert found.verdict is Verdict.UNREADABLE
    assert found.causes[0].message == "the cluster has no Node of that name or address"

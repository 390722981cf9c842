"""What a plan holds, and what it leaves alone. The rules and the expectations are by hand."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest

from nptables import Family, Ownership, Ruleset
from nptables.iptables.changes import diff, undo
from nptables.iptables.changes.equality import without_comments
from nptables.iptables.changes.outcome import carried_out
from nptables.iptables.changes.report import changed_lines, report_lines
from nptables.iptables.changes.steps import emptied, steps_of

OWNER = Ownership(
    chains={"nat": frozenset({"MY-ALL", "MY-MARK"}), "filter": frozenset({"MY-FILTER"})},
    patterns={"nat": re.compile(r"MY-[0-9]+")},
    ensured={"filter": frozenset({"SHARED"})},
    jumps={
        "nat": ("-A PREROUTING -j MY-ALL", "-A OUTPUT -j MY-ALL"),
        "filter": ("-A INPUT -j SHARED", "-A INPUT -j MY-FILTER", "-A FORWARD -j MY-FILTER"),
    },
    unordered={"nat": frozenset({"MY-ALL"}), "filter": frozenset({"MY-FILTER"})},
    lent={"nat": frozenset({"MY-MARK"})},
)
BUILT_IN = {
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
}


def ruleset(**tables: list[str]) -> Ruleset:
    """A ruleset from rule lines; chains are declared as they appear (`:NAME` for an empty one)."""
    text = []
    for table, lines in tables.items():
        names = [line[1:] if line[0] == ":" else line.split()[1] for line in lines]
        names += [f"MY-{found}" for line in lines for found in re.findall(r"-[jg] MY-(\S+)", line)]
        names += ["SHARED"] if any(line.endswith("-j SHARED") for line in lines) else []
        text.append(f"*{table}")
        text += [f":{chain} ACCEPT [0:0]" for chain in BUILT_IN[table]]
        text += [f":{n} - [0:0]" for n in dict.fromkeys(names) if n not in BUILT_IN[table]]
        text += [line for line in lines if line[0] != ":"]
        text.append("COMMIT")
    return Ruleset.from_save("\n".join(text) + "\n")


def plan_of(current: Ruleset, desired: Ruleset):
    return diff(current, desired, ownership=OWNER)


def reported(plan, group_of=lambda _table, _line: "") -> str:
    return "".join(f"{line.text}\n" for line in report_lines(plan, group_of))


NAT = [
    "-A PREROUTING -j MY-ALL",
    "-A OUTPUT -j MY-ALL",
    "-A MY-ALL -d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j MY-1",
    "-A MY-ALL -d 10.0.0.2/32 -p tcp -m tcp --dport 80 -j MY-2",
    "-A MY-ALL -m addrtype --dst-type LOCAL -j MY-MARK",
    "-A MY-1 -p tcp -m tcp -j DNAT --to-destination 10.1.0.1:80",
    "-A MY-2 -p tcp -m tcp -j DNAT --to-destination 10.1.0.2:80",
    "-A MY-MARK -j MARK --set-xmark 0x4000/0x4000",
]
FILTER = ["-A INPUT -j SHARED", "-A INPUT -j MY-FILTER", "-A FORWARD -j MY-FILTER"]


def changed(lines: list[str], old: str, *new: str) -> list[str]:
    assert old in lines
    return [line for found in lines for line in (new if found == old else (found,))]


def test_equal_rulesets_need_nothing() -> None:
    plan = plan_of(ruleset(nat=NAT, filter=FILTER), ruleset(nat=NAT, filter=FILTER))

    assert plan.empty
    assert not plan
    assert plan.to_restore() == ""
    assert plan.to_json() == {"family": "IPv4", "drift": False, "tables": {}}


def test_rules_policies_and_chains_of_others_are_in_no_plan() -> None:
    foreign = ["-A PREROUTING -i eth9 -j ACCEPT", "-A DOCKER -j RETURN", "-A PREROUTING -j DOCKER"]
    current = Ruleset.from_save(
        ruleset(nat=[*foreign, *NAT], filter=["-A SHARED -s 9.9.9.9/32 -j DROP", *FILTER])
        .to_save()
        .replace(":FORWARD ACCEPT", ":FORWARD DROP")
    )

    assert plan_of(current, ruleset(nat=NAT, filter=FILTER)).empty


def test_a_new_service_edits_the_shared_chain_and_creates_its_own() -> None:
    more = changed(
        NAT,
        NAT[2],
        NAT[2],
        "-A MY-ALL -d 10.0.0.3/32 -p tcp -m tcp --dport 80 -j MY-3",
    )
    more.append("-A MY-3 -p tcp -m tcp -j DNAT --to-destination 10.1.0.3:80")

    table = plan_of(ruleset(nat=NAT), ruleset(nat=more)).tables["nat"]

    assert table.create == ("MY-3",)
    assert table.changes["MY-ALL"].kind == "edit"
    assert table.changes["MY-ALL"].added == (
        "-A MY-ALL -d 10.0.0.3/32 -p tcp -m tcp --dport 80 -j MY-3",
    )
    assert table.changes["MY-ALL"].removed == ()


def test_the_restore_text_declares_no_built_in_chain_and_inserts_above_the_last_line() -> None:
    more = changed(NAT, NAT[3], NAT[3], NAT[3].replace("10.0.0.2", "10.0.0.3"))

    assert plan_of(ruleset(nat=NAT), ruleset(nat=more)).to_restore() == (
        "*nat\n-I MY-ALL -d 10.0.0.3/32 -p tcp -m tcp --dport 80 -j MY-2\nCOMMIT\n"
    )


def test_the_order_of_services_in_a_shared_chain_means_nothing() -> None:
    other = [NAT[0], NAT[1], NAT[3], NAT[2], *NAT[4:]]

    assert plan_of(ruleset(nat=NAT), ruleset(nat=other)).empty


def test_the_last_line_of_a_shared_chain_must_be_last() -> None:
    other = [NAT[0], NAT[1], NAT[2], NAT[4], NAT[3], *NAT[5:]]

    plan = plan_of(ruleset(nat=other), ruleset(nat=NAT))

    assert plan.tables["nat"].changes["MY-ALL"].kind == "rewrite"


@pytest.mark.parametrize(
    ("lines", "means_something"),
    [
        (["-A MY-ALL -d 10.0.0.7/32 -j MY-MARK", "-A MY-ALL -d 10.0.0.8/32 -j MY-MARK"], False),
        (["-A MY-ALL -d 10.0.0.7/32 -j MY-MARK", "-A MY-ALL -d 10.0.0.7/32 -j MY-1"], True),
        (["-A MY-ALL -d 10.0.0.7/32 -j MY-MARK", "-A MY-ALL -d 10.0.0.0/24 -j MY-1"], True),
        (["-A MY-ALL -d 10.0.0.7/32 -j MY-MARK", "-A MY-ALL ! -d 10.0.0.8/32 -j MY-1"], True),
    ],
)
def test_the_order_of_last_lines_counts_unless_each_is_for_one_address(
    lines: list[str], *, means_something: bool
) -> None:
    one = changed(NAT, NAT[4], *lines)
    other = changed(NAT, NAT[4], *reversed(lines))

    assert bool(plan_of(ruleset(nat=one), ruleset(nat=other))) is means_something


def test_of_two_rules_for_the_same_packets_the_same_must_be_first() -> None:
    first, second = NAT[2], NAT[2].replace("MY-1", "MY-2")
    one, other = changed(NAT, NAT[2], first, second), changed(NAT, NAT[2], second, first)

    plan = plan_of(ruleset(nat=one), ruleset(nat=other))

    assert plan.tables["nat"].changes["MY-ALL"].kind == "rewrite"
    assert plan.tables["nat"].changes["MY-ALL"].added == ()


def test_a_new_rule_for_packets_that_another_has_rewrites_the_chain_in_the_right_order() -> None:
    loser = NAT[2].replace("MY-1", "MY-2")
    plan = plan_of(ruleset(nat=NAT), ruleset(nat=changed(NAT, NAT[2], NAT[2], loser)))

    assert plan.tables["nat"].changes["MY-ALL"].kind == "rewrite"
    assert plan.to_restore().index(NAT[2]) < plan.to_restore().index(loser)


def test_equal_lines_count_as_often_as_they_occur() -> None:
    twice = changed(NAT, NAT[2], NAT[2], NAT[2])

    assert plan_of(ruleset(nat=twice), ruleset(nat=twice)).empty
    assert plan_of(ruleset(nat=twice), ruleset(nat=NAT)).tables["nat"].changes[
        "MY-ALL"
    ].removed == (NAT[2],)
    assert plan_of(ruleset(nat=NAT), ruleset(nat=twice)).tables["nat"].changes["MY-ALL"].added == (
        NAT[2],
    )


def test_order_in_a_chain_that_is_not_shared_counts() -> None:
    lines = [*NAT, "-A MY-1 -j MY-MARK"]
    swapped = [*NAT[:5], "-A MY-1 -j MY-MARK", NAT[5], *NAT[6:]]

    plan = plan_of(ruleset(nat=lines), ruleset(nat=swapped))

    assert plan.tables["nat"].rewrite == ("MY-1",)
    assert plan.to_restore() == (f"*nat\n:MY-1 - [0:0]\n-A MY-1 -j MY-MARK\n{NAT[5]}\nCOMMIT\n")


@pytest.mark.parametrize(
    ("line", "spelled"),
    [
        (NAT[7], "-A MY-MARK -j MARK --or-mark 0x4000"),
        (NAT[2], "-A MY-ALL -d 10.0.0.1 -p tcp -m tcp --dport 80 -j MY-1"),
    ],
)
def test_a_difference_in_spelling_is_none(line: str, spelled: str) -> None:
    plan = plan_of(ruleset(nat=changed(NAT, line, spelled)), ruleset(nat=NAT))

    assert plan.empty
    assert not plan.cosmetic


@pytest.mark.parametrize("place", [2, 5])
def test_a_difference_in_comments_is_cosmetic_and_no_drift(place: int) -> None:
    commented = NAT[place].replace(" -m tcp", ' -m comment --comment "ns/web:a b" -m tcp')

    plan = plan_of(ruleset(nat=changed(NAT, NAT[place], commented)), ruleset(nat=NAT))

    assert plan.empty
    assert list(plan.cosmetic) == [("nat", "MY-ALL" if place == 2 else "MY-1")]
    assert "in comments only" in reported(plan)


def test_what_looks_like_a_comment_inside_a_quoted_word_is_not_taken_out() -> None:
    line = '-A MY-1 -m string --string "a -m comment --comment b" --algo bm -j DROP'

    assert without_comments(line) == line
    assert without_comments('-A X -m comment --comment "a \\" -j Y" -j Z') == "-A X -j Z"


def test_missing_jumps_are_prepended_in_their_order() -> None:
    current = ruleset(filter=["-A INPUT -i lo -j ACCEPT", "-A SHARED -j RETURN", ":MY-FILTER"])

    assert plan_of(current, ruleset(filter=FILTER)).to_restore() == (
        "*filter\n-I FORWARD -j MY-FILTER\n-I INPUT -j MY-FILTER\n-I INPUT -j SHARED\nCOMMIT\n"
    )


def test_a_missing_jump_goes_behind_the_one_before_it() -> None:
    current = ruleset(filter=["-A INPUT -i lo -j ACCEPT", FILTER[0], "-A INPUT -j DROP", FILTER[2]])

    assert plan_of(current, ruleset(filter=FILTER)).to_restore() == (
        "*filter\n:MY-FILTER - [0:0]\n-I INPUT 3 -j MY-FILTER\nCOMMIT\n"
    ).replace(":MY-FILTER - [0:0]\n", "")


def test_a_jump_that_stands_twice_is_removed_once() -> None:
    current = ruleset(nat=[NAT[0], *NAT])

    assert plan_of(current, ruleset(nat=NAT)).to_restore() == (
        "*nat\n-D PREROUTING -j MY-ALL\nCOMMIT\n"
    )


def test_of_equal_jumps_the_first_keeps_its_place_before_the_rules_of_others() -> None:
    """`-D` deletes the first of them, so all go and one comes back, in one commit."""
    foreign = "-A PREROUTING -s 203.0.113.0/24 -j RETURN"
    current = ruleset(nat=[NAT[0], foreign, *NAT])

    plan = plan_of(current, ruleset(nat=NAT))

    assert plan.tables["nat"].remove == (NAT[0],)
    assert plan.to_restore() == (
        "*nat\n-D PREROUTING -j MY-ALL\n-D PREROUTING -j MY-ALL\n-I PREROUTING -j MY-ALL\nCOMMIT\n"
    )
    assert carried_out(plan).lines("nat", "PREROUTING") == (NAT[0], foreign)


def test_a_jump_that_is_put_back_counts_what_is_inserted_above_it() -> None:
    """SHARED goes to the top and MY-FILTER, third then, behind a rule of somebody else."""
    foreign = ["-A INPUT -i lo -j ACCEPT", "-A INPUT -j DROP"]
    jump = "-A INPUT -j MY-FILTER"
    current = ruleset(filter=[foreign[0], jump, foreign[1], jump, FILTER[2], *FILTER[3:]])

    plan = plan_of(current, ruleset(filter=FILTER))

    assert plan.to_restore() == (
        "*filter\n:SHARED - [0:0]\n-I INPUT -j SHARED\nCOMMIT\n"
        "*filter\n-D INPUT -j MY-FILTER\n-D INPUT -j MY-FILTER\n-I INPUT 3 -j MY-FILTER\nCOMMIT\n"
    )


def test_a_chain_that_only_has_to_exist_is_created_empty_and_never_touched() -> None:
    none, some = ruleset(filter=[]), ruleset(filter=["-A SHARED -j DROP", *FILTER])

    plan = plan_of(none, ruleset(filter=FILTER))
    assert plan.tables["filter"].ensure == ("SHARED",)
    back = undo(plan, ruleset(filter=[*FILTER, ":SHARED"]))
    kinds = [[c.kind for c in changed_lines(p) if c.line == ":SHARED -"] for p in (plan, back)]
    assert kinds == [["added"], ["removed"]]
    assert plan_of(some, ruleset(filter=FILTER)).empty


def test_a_chain_that_a_foreign_rule_leads_to_is_emptied_and_kept() -> None:
    foreign = '-A POSTROUTING -m comment --comment "x -j MY-9" -j MY-2'
    gone = [line for line in NAT if "MY-2" not in line]
    current = ruleset(nat=[*NAT, foreign, "-A MY-9 -j RETURN"])

    plan = plan_of(current, ruleset(nat=gone))

    assert plan.kept == {("nat", "MY-2"): foreign}
    assert plan.tables["nat"].changes["MY-2"].after == ()
    assert plan.tables["nat"].delete == ("MY-9",)


def test_a_kept_chain_that_is_empty_is_no_drift() -> None:
    current = ruleset(nat=[*NAT, ":MY-9", "-A POSTROUTING -g MY-9"])

    plan = plan_of(current, ruleset(nat=NAT))

    assert plan.empty
    assert plan.kept == {("nat", "MY-9"): "-A POSTROUTING -g MY-9"}


def test_a_lent_chain_stays_as_it_is_while_others_use_it() -> None:
    current = ruleset(nat=[*NAT, "-A POSTROUTING -j MY-MARK"])

    plan = plan_of(current, ruleset(nat=[]))

    assert set(plan.tables["nat"].delete) == {"MY-ALL", "MY-1", "MY-2"}
    assert "MY-MARK" not in plan.tables["nat"].changes


def test_filter_has_old_and_new_rules_while_nat_changes_and_deletions_come_last() -> None:
    refuse = "-A MY-FILTER -d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j REJECT"
    drop = "-A MY-FILTER -d 10.0.0.2/32 -p tcp -m tcp --dport 80 -j DROP"
    old = ruleset(nat=NAT, filter=[*FILTER, refuse])
    new = ruleset(nat=[line for line in NAT if "MY-2" not in line], filter=[*FILTER, drop])

    steps = [(s.table, s.to_restore()) for s in steps_of(plan_of(old, new))]

    assert [table for table, _ in steps] == ["filter", "nat", "filter", "nat"]
    assert refuse in steps[0][1]
    assert drop in steps[0][1]
    assert refuse not in steps[2][1]
    assert "-X" not in steps[1][1]
    assert "-X MY-2\n" in steps[3][1]


def test_new_chains_come_in_pieces_with_leaves_first_and_jumps_last() -> None:
    steps = steps_of(plan_of(ruleset(nat=[]), ruleset(nat=NAT)), piece=2)

    created = [list(step.fill) for step in steps]
    assert created == [["MY-1", "MY-2"], ["MY-MARK", "MY-ALL"], []]
    assert [i.line for i in steps[-1].insert] == [NAT[1], NAT[0]]


def test_the_chains_of_a_service_come_together_so_that_each_is_asked_for_once() -> None:
    """MY-8 and MY-9 stand for two Services, with two endpoints each."""
    nat = [
        *(f"-A MY-ALL -d 10.0.0.{service}/32 -j MY-{service}" for service in (8, 9)),
        *(f"-A MY-{service} -j MY-{service}{end}" for service in (8, 9) for end in (1, 2)),
        *(f"-A MY-{service}{end} -j ACCEPT" for service in (8, 9) for end in (1, 2)),
    ]

    steps = steps_of(plan_of(ruleset(nat=[]), ruleset(nat=nat)), piece=3)

    created = [set(step.fill) for step in steps if step.fill]
    assert created == [{"MY-81", "MY-82", "MY-8"}, {"MY-91", "MY-92", "MY-9"}, {"MY-ALL"}]


def test_chains_are_declared_from_z_to_a_and_filled_from_a_to_z() -> None:
    """Legacy finds out soonest so that a chain is new, and a reader finds the rules in order."""
    (step,) = steps_of(plan_of(ruleset(nat=[]), ruleset(nat=NAT)))

    lines = list(step.restore_lines())
    declared = [line for line in lines if line.startswith(":")]
    filled = [line.split()[1] for line in lines if line.startswith("-A")]
    assert declared == [f":{chain} - [0:0]" for chain in ("MY-MARK", "MY-ALL", "MY-2", "MY-1")]
    assert filled == ["MY-1", "MY-2", "MY-ALL", "MY-ALL", "MY-ALL", "MY-MARK"]


def levels_of_a_quicksort(names: list[str]) -> int:
    """How deep iptables-nft-save goes: its pivot is the first, and it sorts what is on both sides.

    Source: __nft_chain_list_sort in iptables/nft-cache.c of iptables 1.8.9.
    """
    deepest, waiting = 0, [(names, 1)]
    while waiting:
        (pivot, *others), level = waiting.pop()
        deepest = max(deepest, level)
        sides = [n for n in others if n < pivot], [n for n in others if n > pivot]
        waiting += [(side, level + 1) for side in sides if side]
    return deepest


def test_new_chains_come_in_an_order_that_iptables_nft_save_sorts_at_once() -> None:
    names = sorted(f"MY-{int(sha256(str(n).encode()).hexdigest(), 16)}" for n in range(5000))
    steps = steps_of(plan_of(ruleset(nat=[]), ruleset(nat=[f":{n}" for n in names])), piece=100)

    created = [
        line[1:].split()[0]
        for step in steps
        for line in step.restore_lines()
        if line.startswith(":")
    ]
    assert sorted(created) == names
    assert levels_of_a_quicksort(names) == 5000
    # Those of one commit stand in order, 100 levels; a random order of the rest takes about 30.
    assert levels_of_a_quicksort(created) < 150


def test_deletions_come_in_pieces_with_users_first() -> None:
    steps = steps_of(plan_of(ruleset(nat=NAT), ruleset(nat=[])), piece=3)

    assert [list(step.delete) for step in steps if step.delete] == [
        ["MY-ALL", "MY-MARK", "MY-2"],
        ["MY-1"],
    ]


@pytest.mark.parametrize(
    ("piece", "sizes"), [(None, [4]), (5, [4]), (4, [4]), (3, [3, 1]), (2, [2, 2]), (1, [1] * 4)]
)
def test_deletions_are_cut_only_where_there_are_more_than_a_piece(
    piece: int | None, sizes: list[int]
) -> None:
    steps = steps_of(plan_of(ruleset(nat=NAT), ruleset(nat=[])), piece=piece)

    assert [len(step.delete) for step in steps if step.delete] == sizes
    # Chains that were read are deleted as they are: none has to be emptied first.
    assert [step.fill for step in steps if step.fill] == []


@pytest.mark.parametrize(("piece", "sizes"), [(None, [5]), (5, [5]), (2, [2, 2, 1])])
def test_chains_are_emptied_in_pieces_with_nothing_left_out(
    piece: int | None, sizes: list[int]
) -> None:
    names = [f"MY-{number}" for number in range(5)]

    steps = list(emptied("nat", names, piece))

    assert [len(step.fill) for step in steps] == sizes
    assert [name for step in steps for name in step.fill] == names
    assert {lines for step in steps for lines in step.fill.values()} == {()}


def test_no_chain_to_empty_is_no_step() -> None:
    assert list(emptied("nat", [], None)) == []


def test_a_plan_taken_back_gives_what_was_there() -> None:
    before = ruleset(nat=NAT, filter=["-A INPUT -i lo -j ACCEPT"])
    plan = plan_of(before, ruleset(nat=NAT[:2], filter=FILTER))

    back = undo(plan, ruleset(nat=NAT[:2], filter=["-A INPUT -i lo -j ACCEPT", *FILTER]))

    assert set(back.tables["nat"].create) == {"MY-1", "MY-2", "MY-MARK"}
    assert set(back.tables["filter"].delete) == {"MY-FILTER", "SHARED"}
    assert set(back.tables["filter"].remove) == set(FILTER)


def test_a_chain_of_others_that_holds_rules_by_now_is_not_taken_back() -> None:
    plan = plan_of(ruleset(filter=[]), ruleset(filter=FILTER))

    back = undo(plan, ruleset(filter=["-A SHARED -j DROP", *FILTER]))

    assert back.tables["filter"].delete == ("MY-FILTER",)


def test_many_changes_rewrite_a_shared_chain() -> None:
    many = [f"-A MY-ALL -d 10.9.0.{i}/32 -p tcp -m tcp --dport 80 -j MY-1" for i in range(1, 100)]
    half = [line.replace("10.9", "10.8") if i < 20 else line for i, line in enumerate(many)]

    plan = plan_of(ruleset(nat=[*many, ":MY-1"]), ruleset(nat=[*half, ":MY-1"]))

    assert plan.tables["nat"].changes["MY-ALL"].kind == "rewrite"
    assert len(plan.tables["nat"].changes["MY-ALL"].removed) == 20


def test_nobody_said_whose_rules_are_compared() -> None:
    with pytest.raises(ValueError, match="Ownership"):
        diff(ruleset(nat=NAT), ruleset(nat=NAT))


def test_families_are_not_mixed() -> None:
    with pytest.raises(ValueError, match="IPv6"):
        diff(Ruleset(Family.IPV6, {}), ruleset(nat=NAT), ownership=OWNER)


def test_the_report_groups_by_whose_the_rules_are_and_escapes_what_a_terminal_would_obey() -> None:
    hostile = '-A MY-1 -m comment --comment "\x1b[2J" -j RETURN'
    plan = plan_of(ruleset(nat=[*NAT, hostile]), ruleset(nat=NAT))

    text = reported(plan, lambda _table, line: "ns/web" if "MY-1" in line else "")

    assert text == (
        '# ns/web\n@@ nat MY-1 @@\n--A MY-1 -m comment --comment "\\x1b[2J" -j RETURN\n'
    )


def test_the_json_names_every_change() -> None:
    gone = changed([line for line in NAT if "MY-2" not in line], NAT[7], NAT[7], "-A MY-MARK -j X")
    plan = plan_of(ruleset(nat=NAT), ruleset(nat=[line for line in gone if line != NAT[0]]))

    table = plan.to_json()["tables"]["nat"]

    assert table["delete"] == {"MY-2": [NAT[6]]}
    assert table["removeJumps"] == [NAT[0]]
    assert table["change"] == {
        "MY-ALL": {"removed": [NAT[3]], "added": [], "rewritten": False},
        "MY-MARK": {"removed": [], "added": ["-A MY-MARK -j X"], "rewritten": True},
    }


def test_the_json_of_a_first_plan_and_of_the_last_hold_all_lines() -> None:
    nothing, everything = ruleset(nat=[], filter=[]), ruleset(nat=NAT, filter=FILTER)
    chains = {"MY-ALL": NAT[2:5], "MY-1": [NAT[5]], "MY-2": [NAT[6]], "MY-MARK": [NAT[7]]}
    empty = {"SHARED": [], "MY-FILTER": []}
    unchanged = {"change": {}, "kept": {}, "cosmetic": {}}

    assert plan_of(nothing, everything).to_json() == {
        "family": "IPv4",
        "drift": True,
        "tables": {
            "nat": {
                "create": chains, "delete": {}, "insertJumps": NAT[:2], "removeJumps": [],
                **unchanged,
            },
            "filter": {
                "create": empty, "delete": {}, "insertJumps": FILTER, "removeJumps": [],
                **unchanged,
            },
        },
    }  # fmt: skip
    # The chain that has to exist belongs to others as well: it stays.
    back = plan_of(everything, nothing).to_json()["tables"]
    assert back["nat"]["delete"] == chains
    assert back["nat"]["removeJumps"] == NAT[:2]
    assert back["filter"]["delete"] == {"MY-FILTER": []}


def test_the_json_says_what_is_kept_and_whose_comments_differ() -> None:
    foreign = "-A POSTROUTING -j MY-2"
    said = NAT[5].replace("-m tcp", "-m comment --comment web -m tcp")
    gone = [line for line in NAT if "MY-2" not in line]

    plan = plan_of(ruleset(nat=[*changed(NAT, NAT[5], said), foreign]), ruleset(nat=gone))

    table = plan.to_json()["tables"]["nat"]
    assert table["kept"] == {"MY-2": foreign}
    assert table["cosmetic"] == {"MY-1": {"before": [said], "after": [NAT[5]]}}


def test_the_report_says_of_each_chain_what_becomes_of_it() -> None:
    first, second = "-A MY-9 -s 10.0.0.9/32 -j RETURN", "-A MY-9 -j ACCEPT"
    said = NAT[5].replace("-m tcp", "-m comment --comment web -m tcp")
    old = ruleset(
        nat=[*NAT[:5], said, *NAT[6:], first, second, ":MY-7", ":MY-6", "-A POSTROUTING -j MY-6"]
    )
    new = ruleset(nat=[*NAT[:6], NAT[7], second, first, "-A MY-2 -j MY-8", "-A MY-8 -j RETURN"])

    text = reported(plan_of(old, new))

    assert text.splitlines() == [
        "# rules that are always there",
        "@@ nat MY-9 (other order) @@",
        f"+{second}",
        f"-{second}",
        "@@ nat MY-2 @@",
        f"-{NAT[6]}",
        "+-A MY-2 -j MY-8",
        "@@ nat MY-8 (new chain) @@",
        "+-A MY-8 -j RETURN",
        "@@ nat MY-7 (deleted chain) @@",
        "-:MY-7 -",
        "# nat MY-6 stays, because others use it: -A POSTROUTING -j MY-6",
        "# 1 chain differs in comments only, which is not drift",
    ]


def test_what_two_plans_have_in_common_is_what_both_change() -> None:
    """As drift is told from what the cluster changed: each kind of change once in both, or in one.

    Of MY-2 the one rewrites the rule and the other deletes it: both change the chain.
    """
    now = ruleset(nat=["-A PREROUTING -j MY-ALL", "-A PREROUTING -j MY-ALL", *NAT[2:]])
    rest = [line for line in NAT if "MY-2" not in line]
    one = plan_of(now, ruleset(nat=changed(NAT, NAT[6], "-A MY-2 -j RETURN")))
    other = plan_of(now, ruleset(nat=changed(rest, NAT[7], NAT[7], "-A MY-MARK -j RETURN")[:-1]))

    both, back = one.in_common(other).tables["nat"], other.in_common(one).tables["nat"]

    assert [change.chain for change in both.changes.values()] == ["MY-2"]
    assert both.rewrite == ("MY-2",)
    assert back.delete == ("MY-2",)
    assert [insertion.line for insertion in both.insert] == [NAT[1]]
    assert both.remove == (NAT[0],)


def test_plans_for_other_tables_and_chains_have_nothing_in_common() -> None:
    nothing = ruleset(nat=[], filter=[])
    one = plan_of(nothing, ruleset(nat=NAT))
    other = plan_of(nothing, ruleset(filter=FILTER))

    assert one
    assert other
    assert not one.in_common(other)
    assert not other.in_common(one)
    assert one.in_common(one).to_json() == one.to_json()
    assert other.in_common(other).to_json() == other.to_json()
    gone = undo(other, ruleset(nat=[], filter=FILTER))
    assert gone.tables["filter"].discard == ("SHARED",)
    assert gone.in_common(gone).to_json() == gone.to_json()
    assert not gone.in_common(one)


def test_of_a_long_chain_with_many_equal_lines_only_what_moves_is_shown() -> None:
    same = ["-A MY-9 -j RETURN"] * 250
    old = ruleset(nat=[*NAT, *same, "-A MY-9 -j ACCEPT"])
    new = ruleset(nat=[*NAT, "-A MY-9 -j MY-1", *same])

    text = reported(plan_of(old, new)).splitlines()

    assert text[2:] == ["+-A MY-9 -j MY-1", "--A MY-9 -j ACCEPT"]

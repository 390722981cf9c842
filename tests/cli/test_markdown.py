"""Markdown for a comment: text stays text whatever it holds, and a forge takes all of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from nptables.checks import CODES, Finding
from nptables.cli import main
from nptables.cli.forms.form import Findings
from nptables.cli.forms.markdown import FORM, code, cut, text
from nptables.errors import printable
from tests.support.clusters import endpoint, endpoint_slice, node, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from markdown_it.token import Token

# The rules of GitHub's dialect that matter here, HTML among them.
READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
GITHUB_TAKES = 65_536
HOSTILE = st.text(
    st.one_of(st.sampled_from("`|\\*_[]()<>#@!~&$^-+=:/.\"' \n1aw"), st.characters()), max_size=60
)
# What would be a mention, a reference or an address once a page is made of the text.
LINKED = re.compile(r"(?i)(?:^|\W)@\w|(?:^|\W)#\d|://|www\.|\bgh-\d|!\d")


def flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from flat(token.children or [])


def words(tokens: list[Token]) -> str:
    """The text that a reader sees, without what has no width."""
    shown = (t.content for t in flat(tokens) if t.type in ("text", "code_inline", "text_special"))
    return "".join(shown).replace("\u200b", "")


@given(HOSTILE)
@example("_0_")
@pytest.mark.parametrize("made", [text, code])
def test_a_text_is_shown_as_it_is_in_a_cell_of_a_table(made: object, raw: str) -> None:
    """Nothing of it is markup, and the table stays one of two cells."""
    assert callable(made)
    tokens = READER.parse(f"| a | b |\n| --- | --- |\n| x{made(raw)}x | z |\n")

    kinds = [token.type for token in flat(tokens)]
    assert kinds.count("td_open") == 2
    assert not {"link_open", "image", "em_open", "strong_open", "s_open"} & set(kinds)
    inline = {t.content for t in flat(tokens) if t.type == "html_inline"}
    assert inline <= {"<code>", "</code>"}
    shown = printable(raw, 2000)
    expected = f"x{shown if made is text or shown.strip() else ''}x"
    assert words(tokens[tokens.index(_cell(tokens)) :]).removesuffix("z") == expected


def _cell(tokens: list[Token]) -> Token:
    return next(token for token in tokens if token.type == "td_open")


@given(HOSTILE)
def test_nobody_is_mentioned_and_nothing_is_linked(raw: str) -> None:
    shown = "".join(
        token.content for token in flat(READER.parse(text(raw))) if token.type.startswith("text")
    )

    assert LINKED.search(shown) is None


@given(st.lists(st.lists(st.text("ab", max_size=40), min_size=1, max_size=4), max_size=12))
def test_what_is_cut_is_between_two_parts_and_is_said(parts: list[list[str]]) -> None:
    lines = list(cut(parts, 100))

    whole: list[str] = []
    left = 0
    for part in parts:
        size = sum(len(line) + 1 for line in [*whole, *part])
        if left or size > 100:
            left += 1
        else:
            whole += part
    assert lines[: len(whole)] == whole
    told = lines[len(whole) :]
    assert bool(told) == bool(left)
    assert not left or (f"{left} more part" in told[-1] and len("\n".join(told)) < 500)


def test_a_comment_is_never_longer_than_a_forge_takes() -> None:
    findings = [
        Finding(CODES["NPT205"], "|" * 900, "Service", "default", f"web{number}", ("spec",))
        for number in range(300)
    ]
    assert FORM.findings is not None

    comment = "\n".join(FORM.findings(Findings("nptables check", findings)))

    assert 60_000 < len(comment) <= GITHUB_TAKES
    assert re.search(r"^\*\d+ more parts do not fit in a comment", comment, re.MULTILINE)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    objects = [node("node1"), endpoint_slice(endpoint("10.244.1.6", "node1"))]
    for name, port in (("old", 30080), ("new", 30081)):
        one = service(ports=[{"port": 80, "nodePort": port}], externalIPs=["198.51.100.7"])
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump_all([*objects, one]))
    return str(tmp_path / "old.yaml"), str(tmp_path / "new.yaml")


def tables(out: str) -> list[str]:
    """The cells of all tables."""
    tokens = READER.parse(out)
    return [words([tokens[place + 1]]) for place, t in enumerate(tokens) if t.type == "td_open"]


def test_check_has_a_table_and_the_words_for_each_code(
    files: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", files[1], "-o", "markdown", "--kube-proxy-version", "1.36"]) == 1

    out = capfd.readouterr().out
    assert out.startswith("### nptables check\n\n1 warning\n\n")
    severity, what, where, said = tables(out)
    assert (severity, what) == ("warning", "NPT205")
    assert where.startswith(f"Service default/web{files[1]}:")
    assert said == "spec.externalIPs externalIPs 198.51.100.7."
    assert "- `NPT205` Who may write this field" in out


def test_a_diff_has_a_folded_part_for_each_service(
    files: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", *files, "--node", "node1", "-o", "markdown"]) == 1

    tokens = READER.parse(capfd.readouterr().out)
    (fence,) = [token for token in tokens if token.type == "fence"]
    assert fence.info == "diff"
    assert [line[0] for line in fence.content.splitlines()] == ["@", "-", "+"]
    details = [token.content.strip() for token in tokens if token.type == "html_block"]
    assert [one[:9] for one in details] == ["<details>", "</details"]
    assert details[0].endswith(": 1 added, 1 removed</summary>")


def test_effects_are_a_list(files: tuple[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["diff", *files, "--node", "node1", "--effects"]
    assert main([*arguments, "-o", "markdown"]) == 1
    out = capfd.readouterr().out
    assert main(arguments) == 1

    listed = [
        words([token]) for token in READER.parse(out) if token.type == "inline" and token.level == 3
    ]
    assert listed == capfd.readouterr().out.splitlines()


def test_a_wrong_field_is_named_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    web = tmp_path / "web.yaml"
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{prot: 80}]}\n"
    web.write_text(service)

    assert main(["check", str(web), "-o", "markdown"]) == 2
    shown = capfd.readouterr().out
    assert main(["check", str(web), "-o", "github"]) == 2

    assert shown.count("prot") == 1
    assert "Service default/web: spec.ports[0].prot: unknown field" in capfd.readouterr().out


def test_wrong_input_is_a_table_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "web.yaml").write_text("kind: Service\n")

    assert main(["check", str(tmp_path / "web.yaml"), "-o", "markdown"]) == 2
    assert tables(capfd.readouterr().out)[:2] == ["error", "NPT001"]

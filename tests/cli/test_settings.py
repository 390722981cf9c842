"""Settings of a repository: where they are found, what they may set, and what they never do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from nptables.cli import main
from nptables.cli.app import COMMANDS, cli
from nptables.cli.repository import SETTABLE
from tests.cli.test_ignoring import web

if TYPE_CHECKING:
    from pathlib import Path

KEYS = st.sampled_from([*SETTABLE, "ignore", "code", "reason", "service", "NPT102", "kubeconfig"])
# Commands that change a node or a file on it, ask a cluster's nodes, or run until they are stopped.
NEVER_READ = ("apply", "confirm", "cleanup", "run", "snapshot", "collect", "facts", "status")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a repository with a cluster that has findings; the working directory."""
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    web(root)
    monkeypatch.chdir(root)
    return root


def settings(folder: Path, name: str = ".nptables.yaml", **values: object) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(values))
    return path


def found(capfd: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    main(["check", *arguments, "-o", "json"])
    return [one["code"] for one in json.loads(capfd.readouterr().out)["findings"]]


def test_settings_give_options_their_defaults_and_the_command_line_wins(
    repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings(repository, select=["NPT205"])

    assert found(capfd, "web.yaml") == ["NPT205"]
    assert found(capfd, "web.yaml", "--select", "NPT102") == ["NPT102"]
    assert found(capfd, "web.yaml", "--no-settings") == ["NPT102", "NPT205"]


def test_it_is_said_which_settings_were_read(
    repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings(repository, severity="error")

    assert main(["check", "web.yaml"]) == 0
    said = "note: settings are read from .nptables.yaml (--no-settings ignores them)\n"
    assert capfd.readouterr().err.startswith(said)
    # `name` has no option that settings give, and no finding to ignore.
    assert main(["name", "default/web"]) == 0
    assert "settings" not in capfd.readouterr().err


def test_rules_are_made_for_the_version_and_the_node_of_the_settings(
    repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings(repository, **{"kube-proxy-version": "1.30", "node": "node2"})

    assert main(["render", "web.yaml"]) == 0
    by_settings, said = capfd.readouterr()
    # Whoever names no version is told which one is taken.
    assert "the rules are those of kube-proxy" not in said
    main(["render", "web.yaml", "--no-settings", "--node", "node2"])
    assert by_settings == capfd.readouterr().out
    # The endpoint is on node1 alone, and the policy is Local.
    main(["render", "web.yaml", "--node", "node1"])
    assert by_settings != capfd.readouterr().out


def test_settings_are_found_upward_and_no_further_than_the_repository(
    repository: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = repository / "deploy" / "prod"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    file = "../../web.yaml"

    settings(repository.parent, select=["NPT102"])
    assert found(capfd, file) == ["NPT102", "NPT205"]
    settings(repository, select=["NPT102"])
    assert found(capfd, file) == ["NPT102"]
    # The nearest counts alone.
    settings(inner.parent, select=["NPT205"])
    assert found(capfd, file) == ["NPT205"]


def test_the_table_of_a_pyproject_file_does_too_and_gives_way_to_a_file_of_its_own(
    repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = repository / "pyproject.toml"

    project.write_text("[tool.other\n")
    assert found(capfd, "web.yaml") == ["NPT102", "NPT205"]
    project.write_text(
        '[tool.nptables]\nseverity = "info"\n'
        '[[tool.nptables.ignore]]\ncode = "NPT205"\nreason = "ours"\n'
    )
    assert found(capfd, "web.yaml") == ["NPT102"]
    settings(repository, select=["NPT205"])
    assert found(capfd, "web.yaml") == ["NPT205"]


@pytest.mark.parametrize(
    "text",
    [
        "[tool.nptables]\nselect = ['NPT205']\n",
        "[ 'tool' . \"nptables\" ]\nselect = ['NPT205']\n",
        "tool.nptables.select = ['NPT205']\n",
        "[tool]\nnptables = {select = ['NPT205']}\n",
        "tool = {nptables = {select = ['NPT205']}}\n",
    ],
)
def test_the_table_is_found_however_toml_lets_it_be_written(
    repository: Path, capfd: pytest.CaptureFixture[str], text: str
) -> None:
    (repository / "pyproject.toml").write_text(text)

    assert found(capfd, "web.yaml") == ["NPT205"]


def test_a_project_that_only_depends_on_nptables_has_no_settings_in_whatever_state_it_is(
    repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (repository / "pyproject.toml").write_text("[project]\ndependencies = ['nptables']\n[tool.x\n")

    assert found(capfd, "web.yaml") == ["NPT102", "NPT205"]


def test_a_pyproject_file_that_cannot_be_read_is_said(
    repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (repository / "pyproject.toml").write_text("[tool.nptables\n")

    assert main(["check", "web.yaml"]) == 2
    assert "error: pyproject.toml: is not valid TOML: " in capfd.readouterr().err
    assert main(["check", "web.yaml", "--no-settings"]) == 1


def test_a_file_that_is_named_comes_instead(
    repository: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings(repository, select=["NPT205"])
    named = settings(tmp_path, "team.yaml", select=["NPT102"])

    assert found(capfd, "web.yaml", "--settings", str(named)) == ["NPT102"]
    assert main(["check", "web.yaml", "--settings", str(named), "--no-settings"]) == 2
    assert main(["check", "web.yaml", "--settings", "gone.yaml"]) == 2
    assert "gone.yaml: there is no such file" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"nod": "a"}, '1:1: nod: unknown setting "nod" (did you mean node?)'),
        (
            {"kube-proxy-version": 1.3},
            "1:1: kube-proxy-version: is not a string (write it in quotes",
        ),
        ({"severity": "bad"}, "1:1: severity: 'bad' is not one of 'info', 'warning', 'error'."),
        ({"select": "NPT1"}, "1:1: select: is not a list of strings"),
        ({"select": ["NPT999"]}, '1:1: select: there is no code "NPT999"'),
        ({"node-address": ["x"]}, '1:1: node-address: "x" is not an IP address'),
        ({"lenient": 1}, "1:1: lenient: is not true or false"),
        ({"config": 1}, "1:1: config: is not the name of a file"),
        ({"config": "-"}, "1:1: config: is not the name of a file"),
        ({"ignore": "NPT102"}, "1:1: ignore: is not a list of rules"),
        ({"ignore": [{"code": "NPT102"}]}, "ignore[0].reason: is missing (write why it is meant)"),
        ({"ignore": [{"code": "NPT1", "reason": "x"}]}, 'ignore[0].code: there is no code "NPT1"'),
        (
            {"ignore": [{"code": "NPT102", "reason": "x", "servic": "web"}]},
            "ignore[0].servic: unknown field (did you mean service?)",
        ),
    ],
)
def test_what_is_wrong_in_settings_is_said_with_its_place(
    values: dict[str, object], line: str, repository: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings(repository, **values)

    assert main(["check", "web.yaml"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "error: .nptables.yaml:" in err
    assert line in err


def options_of(name: str) -> dict[str, click.Parameter]:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return {
        option.removeprefix("--"): parameter
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    }


EVERY_OPTION = sorted({option for name in COMMANDS for option in options_of(name)})


@pytest.mark.parametrize("option", [one for one in EVERY_OPTION if one not in SETTABLE])
def test_no_other_option_can_be_set_in_a_file(
    option: str, repository: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever new option a command gets: it is set on the command line until SETTABLE names it."""
    if option == "ignore":
        return  # In a file this key has rules with reasons.
    settings(repository, **{option: str(tmp_path / "x")})

    assert main(["check", "web.yaml"]) == 2
    assert f"{option}: is set on the command line only" in capfd.readouterr().err
    assert not (tmp_path / "x").exists()


def test_what_can_be_set_is_known_to_do_no_harm() -> None:
    """Whoever adds to this list has to think of a repository whose author is not trusted.

    None of these applies rules, names a cluster or a node to ask, writes a file, or has a program
    started that would not be started without it.
    """
    assert sorted(SETTABLE) == [
        "baseline", "config", "docs-url", "exclude", "facts", "kube-proxy-version", "lenient",
        "no-preview", "no-render", "node", "node-address", "node-port-range", "select",
        "service-cidr", "severity",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NEVER_READ)
def test_commands_that_change_something_read_no_settings(name: str) -> None:
    assert not {"settings", "no-settings"} & options_of(name).keys()


def test_the_other_commands_that_read_manifests_read_settings() -> None:
    reading = {name for name in COMMANDS if "settings" in options_of(name)}

    assert reading == {
        "render", "diff", "trace", "reach", "graph", "report", "check", "audit", "whose",
    }  # fmt: skip


@pytest.mark.parametrize("key", ["baseline", "config", "facts"])
def test_a_file_that_is_found_names_no_file_outside_of_its_folder(
    key: str, repository: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A message about a file may show some of it, and the author of a repository may read it."""
    secret = tmp_path / "secret"
    secret.write_text("password: hunter2\n")
    (repository / "link").symlink_to(secret)

    for name in (str(secret), "../secret", "link"):
        settings(repository, **{key: name})
        assert main(["check", "web.yaml"]) == 2
        err = capfd.readouterr().err
        assert f"{key}: is outside of the folder of the settings" in err
        assert "hunter2" not in err


def test_files_are_named_from_the_folder_of_the_settings(
    repository: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["check", "web.yaml", "--write-baseline", "old.json"])
    settings(repository, baseline="old.json")
    (repository / "inner").mkdir()
    monkeypatch.chdir(repository / "inner")

    assert main(["check", "../web.yaml"]) == 0
    assert "2 ignored" in capfd.readouterr().err


PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6))
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(KEYS, PLAIN), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings_of_hypothesis(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(st.one_of(KEYS, PLAIN), VALUES, max_size=4))
def test_whatever_stands_in_settings_is_taken_or_refused(
    repository: Path, values: dict[object, object]
) -> None:
    """70 would be a bug of ours, with a traceback behind it."""
    (repository / ".nptables.yaml").write_text(yaml.safe_dump(values, allow_unicode=True))

    assert main(["check", "web.yaml", "-o", "json"]) in (0, 1, 2)

"""`nptables render`, `name` and `whose`, as a user calls them."""

from __future__ import annotations

import json
import os
import platform
import pty
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import nptables
from nptables.cli import main
from tests.support.clusters import endpoint, endpoint_slice, node, service

TUTORIAL = "fixtures/tutorial/two-nodes.yaml"
WEB = "KUBE-SVC-QATUYZLPU4I4HE4S"  # as the recorded scenarios name default/nodeport-service


def run(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, with pipes for all three streams."""
    return subprocess.run(
        [sys.executable, "-m", "nptables", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


def test_the_rules_of_a_node_go_to_standard_output_and_words_to_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["render", TUTORIAL, "--node", "node2"]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("*nat\n")
    assert "-m tcp -j DNAT --to-destination 10.233.64.5:80\n" in out
    assert "\nwarning: no endpoint is on node2, endpoints are on: node1 " in err


def test_input_may_come_from_standard_input_and_from_f(tmp_path: Path) -> None:
    objects = {
        "kind": "List",
        "apiVersion": "v1",
        "items": [service(), endpoint_slice(endpoint("10.244.1.1"))],
    }
    nodes = tmp_path / "nodes.json"
    nodes.write_text(json.dumps(node("node1")))
    version = ("--kube-proxy-version", "1.36")
    result = run("render", "-", "-f", str(nodes), *version, stdin=json.dumps(objects))
    assert (result.returncode, result.stderr) == (0, "")
    assert "--to-destination 10.244.1.1:8080" in result.stdout


def test_the_node_is_the_named_one_else_that_of_the_configuration_else_the_only_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
        "hostnameOverride: node1\n"
    )
    assert main(["render", TUTORIAL, "-o", "json", "--config", str(config)]) == 0
    assert json.loads(capfd.readouterr().out)["node"] == "node1"
    assert main(["render", TUTORIAL, "-o", "json", "--config", str(config), "--node", "node2"]) == 0
    assert json.loads(capfd.readouterr().out)["node"] == "node2"
    assert main(["render", TUTORIAL]) == 2
    assert "there are 2: node1, node2 (name one with --node)" in capfd.readouterr().err


def test_an_unknown_node_lists_those_that_are_there(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["render", TUTORIAL, "--node", "nod1"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert 'there is no node "nod1"; there are: node1, node2 (did you mean node1?)' in err


def test_the_other_family_is_mentioned(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dual.json"
    dual = service(
        clusterIPs=["10.96.0.10", "fd00:10:96::10"],
        ipFamilies=["IPv4", "IPv6"],
        ipFamilyPolicy="PreferDualStack",
    )
    objects = [dual, endpoint_slice(endpoint("10.244.1.1")), node("node1")]
    path.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": objects}))
    assert main(["render", str(path)]) == 0
    assert "1 service port has IPv6 rules too: see them with -6" in capfd.readouterr().err
    assert main(["render", str(path), "-6"]) == 0
    out, err = capfd.readouterr()
    assert "-d fd00:10:96::10/128" in out
    assert "see them with -4" in err


def test_one_service_can_be_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["render", TUTORIAL, "--node", "node1", "--explain"]
    assert main([*arguments, "--service", "default/nodeport-service"]) == 0
    out = capfd.readouterr().out
    assert "# default/nodeport-service (TCP)\n" in out
    assert "KUBE-POSTROUTING" not in out
    assert main([*arguments, "--service", "nodeport-servic"]) == 2
    assert "did you mean default/nodeport-service?" in capfd.readouterr().err


def test_restore_text_of_one_service_is_refused_because_it_would_drop_the_others(
    capfd: pytest.CaptureFixture[str],
) -> None:
    arguments = ["render", TUTORIAL, "--node", "node1", "-o", "restore", "--service", "a/b"]
    assert main(arguments) == 2
    assert "would lose the rules of every other Service" in capfd.readouterr().err


def test_options_that_do_not_fit_the_format_are_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["render", TUTORIAL, "--node", "node1", "--current", "x"]) == 2
    assert main(["render", TUTORIAL, "--node", "node1", "-o", "json", "--explain"]) == 2
    assert capfd.readouterr().out == ""


def test_with_a_dump_of_the_node_only_missing_jumps_are_inserted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["render", TUTORIAL, "--node", "node1"]
    assert main(arguments) == 0
    dump = tmp_path / "dump"
    dump.write_text(capfd.readouterr().out)
    assert main([*arguments, "-o", "restore", "--current", str(dump)]) == 0
    assert "-I " not in capfd.readouterr().out
    dump.write_text("*nat\nnonsense\n")
    assert main([*arguments, "-o", "restore", "--current", str(dump)]) == 2
    assert f"{dump}:2: is neither a chain, a rule nor COMMIT: nonsense" in capfd.readouterr().err


def test_jumps_that_a_dump_may_just_not_show_are_not_inserted_unsaid(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A part of a node's rules is refused; which table a dump lacks is said."""
    arguments = ["render", TUTORIAL, "--node", "node1"]
    assert main(arguments) == 0
    whole = capfd.readouterr().out
    part, nat = tmp_path / "part", tmp_path / "nat"
    part.write_text("".join(x for x in whole.splitlines(keepends=True) if "-j KUBE-SERVICES" in x))
    nat.write_text(whole[: whole.index("COMMIT\n")] + "COMMIT\n")

    assert main([*arguments, "-o", "restore", "--snapshot", str(part)]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert f"{part}: holds a part of a node's rules" in err
    assert main([*arguments, "-o", "restore", "--snapshot", str(nat)]) == 0
    _, err = capfd.readouterr()
    assert "has no table filter: the jumps are right only if the node has none either" in err


def test_the_family_that_a_service_does_not_have_is_not_said_to_have_rules_too(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["render", TUTORIAL, "--node", "node1", "-6"]) == 0

    assert "1 service port has IPv4 rules: see them with -4" in capfd.readouterr().err


def test_a_packet_of_a_family_that_a_service_does_not_have_is_told_so(
    capfd: pytest.CaptureFixture[str],
) -> None:
    ends = ["--from", "outside", "--to", "nodeport:30080"]

    assert main(["trace", TUTORIAL, "--node", "node1", "-6", *ends]) == 1

    out, err = capfd.readouterr()
    assert out.startswith(
        "does not arrive: default/nodeport-service has no IPv6 rules: it has no IPv6 cluster IP, "
        "only IPv4\n"
    )
    assert out.count("no IPv6 cluster IP") == 1
    assert "the IPv6 addresses of node1 are unknown" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["render"], "no input: name a FILE"),
        (["render", "no-such-file.yaml"], "no-such-file.yaml"),
        (["render", TUTORIAL, "--nod", "node1"], "No such option"),
        (["rendr"], "No such command"),
        (["render", TUTORIAL, "--node", "node1", "-o", "xml"], "'xml' is not one of"),
        (["render", TUTORIAL, "--node", "node1", "--service", "a/b/c"], "is not a Service"),
        (["name", "web:"], None),
        (["name", "de fault/web"], "is not a valid name"),
        (["name", "default/web", "--endpoint", "1.2.3.4"], "is not an endpoint"),
        (["whose", "KUBE-SVC-X"], "no input: name a FILE"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2_without_output(
    arguments: list[str], words: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    code = main(arguments)
    out, err = capfd.readouterr()
    assert "Traceback" not in err
    if words is None:
        assert code == 0
    else:
        assert (code, out) == (2, "")
        assert words in err


def test_without_arguments_the_commands_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capfd.readouterr().out
    assert "render" in out
    assert "whose" in out


def test_chain_names_are_those_of_the_recordings(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["name", "default/nodeport-service", "--endpoint", "10.233.64.5:80"]) == 0
    out = capfd.readouterr().out
    for chain in (WEB, "KUBE-EXT-QATUYZLPU4I4HE4S", "KUBE-SEP-6NDJOOYYNFZOEVKS"):
        assert chain in out


def test_a_number_is_said_to_be_taken_for_the_name_of_a_port(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A port of the Service is often meant, and its chains have other names."""
    assert main(["name", "default/nodeport-service:80"]) == 0

    out, err = capfd.readouterr()
    assert WEB not in out
    assert "80 is taken for the name of a port" in err


def test_a_chain_is_traced_back_to_its_service_and_endpoint(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["whose", WEB, TUTORIAL]) == 0
    assert capfd.readouterr().out == (
        "default/nodeport-service (TCP): endpoints of the Cluster traffic policy\n"
    )
    assert main(["whose", "KUBE-SEP-6NDJOOYYNFZOEVKS", TUTORIAL, "-o", "json"]) == 0
    (owner,) = json.loads(capfd.readouterr().out)
    assert (owner["name"], owner["endpoint"]) == ("nodeport-service", "10.233.64.5:80")
    assert main(["whose", "KUBE-MARK-MASQ", TUTORIAL]) == 0
    assert "one of kube-proxy's fixed chains" in capfd.readouterr().err
    assert main(["whose", "KUBE-SVC-AAAAAAAAAAAAAAAA", TUTORIAL]) == 1
    assert "no Service in the input has a chain" in capfd.readouterr().err


def test_a_reader_that_stops_early_ends_the_command_quietly() -> None:
    options = "--node node1 --kube-proxy-version 1.36"
    command = f"{sys.executable} -m nptables render {TUTORIAL} {options} | head -c 10"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "*nat\n:PRER", "")


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """What the command prints where standard output is a terminal."""
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "nptables", *arguments],
        stdout=secondary,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", **environment},
    )
    os.close(secondary)
    output = b""
    while True:
        try:
            read = os.read(primary, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not read:
            break
        output += read
    process.wait()
    os.close(primary)
    return output.decode()


def test_on_a_terminal_rules_are_coloured_unless_no_color_is_set() -> None:
    arguments = ("render", TUTORIAL, "--node", "node1")
    assert "\x1b[" in on_a_terminal(*arguments)
    assert "\x1b[" not in on_a_terminal(*arguments, NO_COLOR="1")
    assert "\x1b[" not in run(*arguments).stdout


def test_colour_changes_no_letter_of_the_rules() -> None:
    arguments = ("render", TUTORIAL, "--node", "node1")
    plain = on_a_terminal(*arguments, NO_COLOR="1")
    import click

    assert click.unstyle(on_a_terminal(*arguments)) == plain


def test_a_bug_is_reported_in_short_with_exit_code_70(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise ZeroDivisionError("boom\n")

    monkeypatch.setattr("nptables.answering.inputs.translate", explode)
    assert main(["render", TUTORIAL, "--node", "node1"]) == 70
    out, err = capfd.readouterr()
    assert out == ""
    assert "internal error: ZeroDivisionError: boom\\n" in err
    assert "Traceback" not in err


def test_the_report_of_a_bug_names_the_versions_of_what_took_part(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def version(package: str) -> str:
        if package == "kubernetes":
            raise metadata.PackageNotFoundError(package)
        return {"click": "8.1.7"}.get(package, "1")

    monkeypatch.setattr("nptables.answering.inputs.translate", None)
    monkeypatch.setattr(metadata, "version", version)

    assert main(["render", TUTORIAL, "--node", "node1"]) == 70

    python = platform.python_version()
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.startswith(f"nptables {nptables.__version__}, Python {python} ({sys.platform}), ")
    assert said.endswith("click 8.1.7, kubernetes not installed, attrs 1, PyYAML 1")


def test_an_interrupt_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nptables.answering.inputs.translate", interrupt)
    assert main(["render", TUTORIAL, "--node", "node1"]) == 130

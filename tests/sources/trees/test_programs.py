"""Starting renderers: a time limit, no network, no files of the user, one sentence on failure."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nptables.cli import main
from nptables.sources import load, load_sets
from nptables.sources.trees import programs
from nptables.sources.trees.programs import Failure, output_of
from tests.support.renderers import HELM, give, path_of
from tests.support.requirements import requires
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Callable

TREE = FIXTURES / "manifests-as-found" / "tree"


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """A program that runs Python code."""

    def make(code: str) -> str:
        path = tmp_path / "renderer"
        path.write_text(f"#!{sys.executable}\n{code}\n")
        path.chmod(0o755)
        return str(path)

    return make


def test_a_program_that_does_not_end_is_ended_with_all_that_it_started(
    program: Callable[[str], str], tmp_path: Path
) -> None:
    started = program(
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1);"
        f' open("{tmp_path}/late", "w")\'])\ntime.sleep(60)'
    )
    before = time.monotonic()

    assert output_of([started], seconds=0.3) == Failure("renderer did not finish within 0.3 s")

    time.sleep(max(0.0, before + 1.6 - time.monotonic()))
    assert not (tmp_path / "late").exists()


def test_the_failure_of_a_program_is_one_sentence(program: Callable[[str], str]) -> None:
    failing = program(
        "import sys\nprint('# Warning: old', file=sys.stderr)\n"
        "print('Error: no such\\n  file\\x1b[31m', file=sys.stderr)\nsys.exit(3)"
    )

    assert output_of([failing]) == Failure("renderer: no such file\\x1b[31m")


def test_a_program_that_cannot_be_started_is_said(tmp_path: Path) -> None:
    (tmp_path / "kustomize").write_text("")

    assert isinstance(output_of([str(tmp_path / "kustomize")]), Failure)


def test_a_program_has_no_network_and_no_settings_of_the_user(
    program: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/home/me/.kube/config")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    shown = program(
        "import os\nfor name in ('KUBECONFIG', 'AWS_SECRET_ACCESS_KEY', 'https_proxy'):\n"
        "    print(os.environ.get(name))\n"
        "print(os.listdir(os.environ['HOME']), len(os.listdir('/sys/class/net')))"
    )

    text = output_of([shown])

    assert isinstance(text, str)
    kubeconfig, secret, proxy, rest = text.splitlines()
    assert (kubeconfig, secret, proxy) == ("/dev/null", "None", "http://127.0.0.1:9")
    assert rest.startswith("[] ")


def test_a_program_can_reach_no_server_on_this_machine(program: Callable[[str], str]) -> None:
    requires("unshare", "root")
    asking = program(
        "import socket\nserver = socket.socket(); server.bind(('127.0.0.1', 0)); server.listen()\n"
        "client = socket.socket(); client.settimeout(2)\n"
        "try:\n    client.connect(server.getsockname()); print('reached')\n"
        "except OSError: print('not reached')"
    )

    # The namespace has a loopback interface that is down: not even that can be reached.
    assert output_of([asking]) == "not reached\n"


def test_the_tree_of_the_readme_is_three_sets_and_a_chart(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, "kustomize")
    monkeypatch.chdir(TREE.parent)

    assert main(["check", "tree"]) == 0

    err = capfd.readouterr().err.splitlines()
    assert "no findings in 3 sets" in err
    assert "note: skipped: 4 files (3 no Kubernetes object, 1 hidden); -v lists them" in err
    assert "warning: tree/chart is left out: helm is not installed to render the chart" in err


def test_an_overlay_is_rendered_where_it_is_named(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch, "kustomize")
    overlay = TREE / "kustomize" / "overlays" / "prod"

    for path in (overlay, overlay / "kustomization.yaml"):
        assert main(["render", str(path), "--node", "node1"]) == 0
        out = capfd.readouterr().out
        assert '"shop/prod-web:http cluster IP" -m tcp --dport 8443' in out


def test_every_program_that_is_there_builds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    requires("kubectl")
    overlay = TREE / "kustomize" / "overlays" / "prod"
    found = {}
    for name in ("kustomize", "kubectl"):
        if path_of(name):
            monkeypatch.setattr(
                programs,
                "_which",
                lambda asked, name=name: path_of(asked) if asked == name else None,
            )
            found[name] = load(overlay).cluster

    assert [list(cluster.services) for cluster in found.values()] == [[("shop", "prod-web")]] * len(
        found
    )


def test_a_place_in_a_rendered_object_is_that_of_its_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give(monkeypatch, "kustomize")

    (judged,) = load_sets(TREE / "kustomize").judged

    base = TREE / "kustomize" / "base"
    assert judged.place("Service", "shop", "prod-web", ("spec", "ports", 0)) == (
        str(base / "service.yaml"), 7, 11,
    )  # fmt: skip
    assert judged.place("Deployment", "shop", "prod-web") == (str(base / "deployment.yaml"), 1, 1)


def test_a_tree_of_several_sets_is_no_input_for_one_cluster(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch)
    monkeypatch.chdir(TREE)

    assert main(["render", "k8s", "--node", "node1"]) == 2

    assert capfd.readouterr().err == (
        "note: skipped: 1 file (1 no Kubernetes object); -v lists them\n"
        "error: there are 2 sets, each a cluster of its own: k8s/dev, k8s/prod (name one of them)\n"
    )


def test_two_trees_are_compared_set_by_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for side, replicas in (("old", 5), ("new", 4)):
        for name in ("dev", "prod"):
            text = (TREE / "k8s" / name / "web.yaml").read_text()
            Path(side, name).mkdir(parents=True)
            Path(side, name, "web.yaml").write_text(
                text.replace("replicas: 5", f"replicas: {replicas}")
            )

    assert main(["diff", "old", "new", "--node", "node1", "-4"]) == 1

    out, err = capfd.readouterr()
    assert "note: prod:" in err.splitlines()
    assert "note: dev:" not in err.splitlines()
    assert "shop/web" in out


def test_a_chart_that_does_not_render_is_left_out_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(programs, "_which", {"helm": str(HELM)}.get)
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: a\nversion: 1.0.0\n")
    (chart / "values.yaml").write_text("")
    (chart / "templates" / "a.yaml").write_text('{{ fail "alone" }}')

    assert main(["check", str(tmp_path)]) == 0
    assert (
        f"warning: {chart} is left out: helm.py: execution error at: alone"
        in capfd.readouterr().err
    )

"""Findings that are ignored with a reason: by an annotation, by settings, by a baseline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml

from nptables.cli import main
from tests.support.clusters import endpoint, endpoint_slice, node, service
from tests.support.sarif import SARIF

if TYPE_CHECKING:
    from pathlib import Path

ANNOTATION = "nptables.io/ignore"
# Of a Service with an external IP and a Local policy, whose endpoint is on one of two nodes.
BOTH = ["NPT102", "NPT205"]


def web(path: Path, annotation: str = "", **spec: Any) -> str:
    """Write a cluster whose Service has the findings of BOTH; returns the name of the file."""
    one = service(externalTrafficPolicy="Local", externalIPs=["198.51.100.7"], **spec)
    if annotation:
        one["metadata"]["annotations"] = {ANNOTATION: annotation}
    nodes = [node("node1"), node("node2")]
    objects = [*nodes, one, endpoint_slice(endpoint("10.244.1.6", "node1"))]
    file = path / "web.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    return str(file)


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without settings, which is the root of a repository."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)


def checked(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["check", *arguments, "-o", "json"])
    return code, json.loads(capfd.readouterr().out)


def codes(findings: list[dict[str, Any]]) -> list[str]:
    return [finding["code"] for finding in findings]


def test_without_a_reason_to_ignore_them_both_are_found(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, found = checked(capfd, web(tmp_path))

    assert (code, codes(found["findings"]), set(found)) == (1, BOTH, {"findings"})


def test_an_annotation_with_a_reason_silences(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = web(tmp_path, "NPT102=the balancer asks = looks; external-ips=it is ours")

    code, found = checked(capfd, file)

    assert (code, found["findings"]) == (0, [])
    assert [(one["code"], one["ignored"]) for one in found["ignored"]] == [
        (
            "NPT102",
            {"reason": "the balancer asks = looks", "by": "annotation nptables.io/ignore"},
        ),
        ("NPT205", {"reason": "it is ours", "by": "annotation nptables.io/ignore"}),
    ]


def test_what_is_ignored_is_counted_and_shown_on_demand(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = web(tmp_path, "NPT205=it is ours")

    assert main(["check", file]) == 1
    out, err = capfd.readouterr()
    assert "NPT205" not in out
    assert "1 finding: 1 warning, 1 ignored (--show-ignored lists them)\n" in err

    assert main(["check", file, "--show-ignored"]) == 1
    (line,) = [ln for ln in capfd.readouterr().out.splitlines() if ln.startswith("ignored: ")]
    assert "warning NPT205: Service default/web: spec.externalIPs" in line
    assert line.endswith("(it is ours; annotation nptables.io/ignore)")


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        ("NPT205", "NPT205 is to be ignored without a reason"),
        ("NPT205= ", "NPT205 is to be ignored without a reason"),
        ("NPT20=ours", 'there is no code "NPT20" (did you mean NPT20'),
        ("external-ipz=ours", '"external-ipz" (did you mean external-ips?)'),
        ("ours", 'there is no code "ours"'),
        ("NPT1\x1b[31m=x", "there is no code "),
    ],
)
def test_an_annotation_that_is_no_code_with_a_reason_silences_nothing_and_is_a_finding(
    annotation: str, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, found = checked(capfd, web(tmp_path, annotation))

    assert code == 1
    assert codes(found["findings"]) == ["NPT002", *BOTH]
    unclear = found["findings"][0]
    assert said in unclear["message"]
    assert unclear["field"] == "metadata.annotations[nptables.io/ignore]"
    assert unclear["file"] == str(tmp_path / "web.yaml")
    assert unclear["line"] is not None


def test_an_annotation_of_a_workload_is_heeded_too(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    container = {"name": "web", "image": "web", "ports": [{"containerPort": 8080}]}
    container["readinessProbe"] = {"httpGet": {"port": "health"}}
    deployment: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [container]},
            },
        },
    }
    plain = service(selector={"app": "web"})
    file = tmp_path / "web.yaml"

    file.write_text(yaml.safe_dump_all([plain, deployment]))
    code, found = checked(capfd, str(file), "--select", "NPT141")
    assert (code, [one["kind"] for one in found["findings"]]) == (1, ["Deployment"])

    deployment["metadata"]["annotations"] = {ANNOTATION: "NPT141=a sidecar adds the port"}
    file.write_text(yaml.safe_dump_all([plain, deployment]))
    code, found = checked(capfd, str(file), "--select", "NPT141")
    assert (code, codes(found["ignored"])) == (0, ["NPT141"])


def test_settings_ignore_by_code_and_service(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / ".nptables.yaml"
    file = web(tmp_path)

    for glob, ignored in (("default/w*", ["NPT205"]), ("web", ["NPT205"]), ("other/*", [])):
        rule = {"code": "NPT205", "service": glob, "reason": "ours"}
        settings.write_text(yaml.safe_dump({"ignore": [rule]}))
        _, found = checked(capfd, file)
        assert codes(found.get("ignored", [])) == ignored
        assert codes(found["findings"]) == [code for code in BOTH if code not in ignored]


def test_a_baseline_lets_old_findings_pass_wherever_they_stand(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = web(tmp_path)
    assert main(["check", file, "--write-baseline", "old.json"]) == 0
    capfd.readouterr()
    text = (tmp_path / "web.yaml").read_text()
    (tmp_path / "web.yaml").write_text(f"# A line above.\n\n{text}")

    code, found = checked(capfd, file, "--baseline", "old.json")
    assert (code, codes(found["findings"]), codes(found["ignored"])) == (0, [], BOTH)

    # One more is new, and alone decides the exit code.
    file = web(tmp_path, sessionAffinity="ClientIP")
    code, found = checked(capfd, file, "--baseline", "old.json")
    assert (code, codes(found["findings"]), codes(found["ignored"])) == (1, ["NPT302"], BOTH)


def test_what_check_prints_as_json_is_a_baseline(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = web(tmp_path)
    main(["check", file, "-o", "json"])
    (tmp_path / "old.json").write_text(capfd.readouterr().out)

    assert main(["check", file, "--baseline", "old.json"]) == 0


def test_a_finding_of_the_baseline_that_is_mended_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = web(tmp_path)
    main(["check", file, "--write-baseline", "old.json"])
    document = yaml.safe_load_all((tmp_path / "web.yaml").read_text())
    objects = list(document)
    del objects[2]["spec"]["externalIPs"]
    (tmp_path / "web.yaml").write_text(yaml.safe_dump_all(objects))
    capfd.readouterr()

    assert main(["check", file, "--baseline", "old.json"]) == 0
    said = "old.json has 1 finding that is gone: NPT205 Service default/web"
    assert said in capfd.readouterr().err
    _, found = checked(capfd, file, "--baseline", "old.json")
    assert codes(found["gone"]) == ["NPT205"]
    # Written anew it is as short as it can be.
    assert main(["check", file, "--baseline", "old.json", "--write-baseline", "old.json"]) == 0
    assert codes(json.loads((tmp_path / "old.json").read_text())["findings"]) == ["NPT102"]


def test_what_a_namespace_leaves_out_is_not_called_gone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = web(tmp_path)
    main(["check", file, "--write-baseline", "old.json"])
    capfd.readouterr()

    assert main(["check", file, "--baseline", "old.json", "-n", "other"]) == 0
    assert "gone" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "text",
    ["[]", '{"findings": 3}', '{"findings": [3]}', '{"findings": [{"code": "NPT102"}]}', "{"],
)
def test_what_is_no_baseline_is_refused(
    text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.json").write_text(text)

    assert main(["check", web(tmp_path), "--baseline", "old.json"]) == 2
    assert "error: old.json" in capfd.readouterr().err


def test_wrong_input_is_no_baseline(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text("kind: Service\n")

    assert main(["check", "web.yaml", "--write-baseline", "old.json"]) == 2
    assert not (tmp_path / "old.json").exists()


def test_sarif_has_what_is_ignored_as_suppressed_with_its_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rules = [{"code": "NPT102", "reason": "known"}]
    (tmp_path / ".nptables.yaml").write_text(yaml.safe_dump({"ignore": rules}))

    assert main(["check", web(tmp_path, "NPT205=ours"), "-o", "sarif"]) == 0

    log = json.loads(capfd.readouterr().out)
    jsonschema.validate(log, SARIF)
    results = {one["ruleId"]: one["suppressions"] for one in log["runs"][0]["results"]}
    assert results == {
        "NPT102": [{"kind": "external", "justification": "known (.nptables.yaml)"}],
        "NPT205": [{"kind": "inSource", "justification": "ours (annotation nptables.io/ignore)"}],
    }


def test_sarif_explains_each_rule_and_links_to_it_where_an_address_is_known(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = web(tmp_path)
    main(["check", file, "-o", "sarif", "--select", "NPT102"])
    (rule,) = json.loads(capfd.readouterr().out)["runs"][0]["tool"]["driver"]["rules"]
    assert "helpUri" not in rule
    assert rule["help"]["markdown"].startswith("*warning, info where load balancers know*\n\n")
    assert rule["help"]["text"].startswith("warning, info where load balancers know\n\n")
    assert "What to do: Send traffic to the other nodes" in rule["help"]["text"]

    address = "https://docs.example.com/nptables/"
    main(["check", file, "-o", "sarif", "--select", "NPT102", "--docs-url", address])
    log = json.loads(capfd.readouterr().out)
    jsonschema.validate(log, SARIF, format_checker=jsonschema.FormatChecker())
    (rule,) = log["runs"][0]["tool"]["driver"]["rules"]
    assert rule["helpUri"] == f"{address}checks.html#npt102-local-policy-gap"


@pytest.mark.parametrize(
    "address", ["docs", "file:///etc", "javascript:x", "https://", "http://a b"]
)
def test_an_address_that_is_none_is_refused(address: str, tmp_path: Path) -> None:
    assert main(["check", web(tmp_path), "--docs-url", address]) == 2

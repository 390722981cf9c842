"""kube-proxy's configuration alone, in kubeadm's ConfigMap, and among manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nptables import InvalidInput
from nptables.cli import main
from nptables.sources import find_kube_proxy_config, load, read_config, read_facts
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
iptables:
  masqueradeBit: 5
"""


def config_map(text: str) -> str:
    indented = "".join(f"    {line}\n" for line in text.splitlines())
    return (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: kube-proxy\n  namespace: kube-system\n"
        "data:\n  kubeconfig.conf: |\n    kind: Config\n  config.conf: |\n" + indented
    )


@pytest.fixture
def write(tmp_path: Path) -> object:
    def to_file(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return path

    return to_file


@pytest.mark.parametrize(
    "text",
    [
        CONFIG,
        config_map(CONFIG),
        "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n---\n" + CONFIG,
        "apiVersion: v1\nkind: List\nitems:\n- "
        + config_map(CONFIG).replace("\n", "\n  ").rstrip(" "),
    ],
)
def test_the_configuration_is_found_wherever_it_is(write: object, text: str) -> None:
    assert read_config(write(text)).masquerade_bit == 5  # type: ignore[operator]


def test_a_mistake_in_it_has_its_line(write: object) -> None:
    path = write(CONFIG.replace("5", "50"))  # type: ignore[operator]

    with pytest.raises(InvalidInput) as caught:
        read_config(path)

    assert str(caught.value).startswith(
        f"{path}:5:3: KubeProxyConfiguration: iptables.masqueradeBit"
    )


def test_a_mistake_inside_the_config_map_has_the_line_of_the_inner_text(write: object) -> None:
    path = write(config_map(CONFIG.replace("5", "50")))  # type: ignore[operator]

    with pytest.raises(InvalidInput) as caught:
        read_config(path)

    assert str(caught.value).startswith(f"{path} (inside the ConfigMap):5:3: ")


def test_a_config_map_whose_text_does_not_parse_says_so(write: object) -> None:
    path = write(config_map(CONFIG + "a: b: c\n"))  # type: ignore[operator]

    with pytest.raises(InvalidInput, match="needs quotes"):
        read_config(path)
    assert "needs quotes" in str(load(path).problems[0])


def test_a_file_without_one_is_a_mistake(write: object) -> None:
    with pytest.raises(InvalidInput, match="is not a kube-proxy configuration"):
        read_config(write("kind: Service\n"))  # type: ignore[operator]
    with pytest.raises(InvalidInput, match="has no kube-proxy configuration in it"):
        read_config(write("kind: Service\n---\nkind: Pod\n"))  # type: ignore[operator]
    with pytest.raises(InvalidInput, match="is empty"):
        read_config(write("# nothing\n"))  # type: ignore[operator]


def test_an_object_that_is_none_has_none() -> None:
    assert find_kube_proxy_config({"kind": "Service"}) is None
    assert find_kube_proxy_config({"kind": "ConfigMap", "data": {"a": "b"}}) is None
    assert find_kube_proxy_config("text") is None


def test_the_one_among_the_manifests_is_used_unless_another_is_named(
    write: object, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    manifests = str(FIXTURES / "tutorial" / "two-nodes.yaml")
    among = str(write(config_map(CONFIG)))  # type: ignore[operator]
    other = tmp_path / "other.yaml"
    other.write_text(CONFIG.replace("5", "6"))

    # A masqueradeBit of 5 is the mark 0x20, 6 is 0x40.
    assert main(["render", manifests, among, "--node", "node1"]) == 0
    out, err = capfd.readouterr()
    assert "--or-mark 0x20" in out or "--set-xmark 0x20/0x20" in out
    assert "the KubeProxyConfiguration among the manifests is used" in err
    assert main(["render", manifests, among, "--node", "node1", "--config", str(other)]) == 0
    assert "--set-xmark 0x40/0x40" in capfd.readouterr().out


def test_facts_have_lines_too(write: object) -> None:
    with pytest.raises(InvalidInput, match=r"config\.yaml:2:1: facts: nfact: is not a fact"):
        read_facts(write("tcpBeLiberal: true\nnfact: true\n"))  # type: ignore[operator]
    with pytest.raises(InvalidInput, match="holds 2 documents, not one"):
        read_facts(write("a: 1\n---\nb: 1\n"))  # type: ignore[operator]
    assert read_facts(write("nfacct: true\n")).nfacct  # type: ignore[operator]

"""No secret gets into a snapshot by way of arguments or configurations."""

from __future__ import annotations

import pytest

from nptables.evidence.processes import arguments_of, configuration_path, settings_of
from nptables.evidence.secrets import without_secrets

X = "(left out)"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--proxy-mode=ipvs", "--v=2", "-v", "4"], ["--proxy-mode=ipvs", "--v=2", "-v", "4"]),
        (["server", "--token", "K10abc::server:1"], ["server", "--token", X]),
        (["--agent-token=abc", "--x=1"], [f"--agent-token={X}", "--x=1"]),
        (["-t", "K10abc"], ["-t", X]),
        (["-t=K10abc"], [f"-t={X}"]),
        (["--token", "--proxy-mode=ipvs"], ["--token", "--proxy-mode=ipvs"]),
        (["--kubeconfig=/etc/kubeconfig.conf"], ["--kubeconfig=/etc/kubeconfig.conf"]),
        (["--kubeconfig", "apiVersion: v1"], ["--kubeconfig", X]),
        (["--kubeconfig=apiVersion: v1\nusers: []"], [f"--kubeconfig={X}"]),
        (["--datastore-endpoint=mysql://me:pw@tcp(db:3306)/k"], [f"--datastore-endpoint={X}"]),
        (["--kube-proxy-arg=token=abc"], [f"--kube-proxy-arg={X}"]),
        (["--etcd-s3-secret-key", "abc"], ["--etcd-s3-secret-key", X]),
        (["--ETCD-PASSWORD=abc"], [f"--ETCD-PASSWORD={X}"]),
        (["--header=Bearer eyJhbGciOi.eyJ.x"], [f"--header={X}"]),
        (["eyJhbGciOi.eyJ.x"], [X]),
        (["--x=a\nb", "c\nd"], [f"--x={X}", X]),
        (["--x=" + "a" * 2000], [f"--x={X}"]),
        (["--hostname-override=monkey"], ["--hostname-override=monkey"]),
        (["", "--", "-"], ["", "--", "-"]),
    ],
)
def test_what_may_be_secret_is_replaced_and_the_rest_stays(
    given: list[str], kept: list[str]
) -> None:
    assert tuple(kept) == without_secrets(given)
    # Read from a snapshot it goes through the same once more.
    assert tuple(kept) == without_secrets(kept)


def test_a_command_line_is_split_at_its_zeros() -> None:
    line = b"/usr/local/bin/kube-proxy\0--config=/var/lib/x y\0--hostname-override=n\xff\0"

    assert arguments_of(line) == ("--config=/var/lib/x y", "--hostname-override=n\udcff")
    assert configuration_path(line) == "/var/lib/x y"
    assert configuration_path(b"kube-proxy\0--config\0/etc/c\0") == "/etc/c"
    assert configuration_path(b"kube-proxy\0--config-dir=/etc\0") == ""
    # Who writes a title over his arguments leaves zeros behind it.
    assert arguments_of(b"k3s server\0\0\0\0\0") == ()


def test_of_a_configuration_only_what_is_kube_proxys_stays_without_secrets() -> None:
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": "/x", "token": "abc"},
        "hostnameOverride": "n1",
        "iptables": {"masqueradeAll": True},
        "x": [{"bearerToken": "abc"}, "https://me:pw@host/"],
    }

    assert settings_of(configuration) == {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "hostnameOverride": "n1",
        "iptables": {"masqueradeAll": True},
        "x": [{"bearerToken": X}, X],
    }
    assert settings_of({"apiVersion": "v1", "kind": "Config", "users": []}) is None
    assert settings_of("root:x:0:0") is None

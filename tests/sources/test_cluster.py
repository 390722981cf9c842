"""A cluster read straight from its API server gives what its manifests give."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nptables.cli import main
from nptables.errors import ApiServerError
from nptables.sources import load_objects
from nptables.sources.apiserver import Connection
from nptables.sources.apiserver.kubeconfig import Place
from nptables.sources.cluster import fetch, fetch_pod
from tests.support.apiserver import ApiServer, Fault
from tests.support.objects import endpoint_slice, node, service
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

RECORDINGS = {
    record["name"]: record
    for record in json.loads((FIXTURES / "apiserver" / "recordings.json").read_text())
}


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[str]:
    with ApiServer() as server:
        server.put(
            node("node1"),
            service("web", node_port=30080),
            endpoint_slice("web", "10.244.1.5"),
        )
        yield str(server.kubeconfig(tmp_path / "kubeconfig"))


def test_every_object_is_fetched(kubeconfig: str) -> None:
    cluster = load_objects(fetch(kubeconfig=kubeconfig), lenient=True).cluster

    assert list(cluster.nodes) == ["node1"]
    assert list(cluster.services) == [("default", "web")]
    assert list(cluster.slices) == [("default", "web-a")]


def test_render_takes_a_cluster_instead_of_files(
    kubeconfig: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", "--kubeconfig", kubeconfig, "--node", "node1"]) == 0
    assert "--to-destination 10.244.1.5:8080" in capfd.readouterr().out


def test_a_cluster_and_files_together_are_a_mistake(
    kubeconfig: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", "x.yaml", "--kubeconfig", kubeconfig]) == 2
    assert "name one of the two" in capfd.readouterr().err


def test_a_server_that_does_not_answer_ends_with_3(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with ApiServer() as server:
        gone = str(server.kubeconfig(tmp_path / "kubeconfig"))

    assert main(["render", "--kubeconfig", gone, "--node", "node1"]) == 3
    assert "error: the API server: cannot be reached" in capfd.readouterr().err


def test_a_kubeconfig_that_is_not_there_ends_with_3(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", "--kubeconfig", str(tmp_path / "no"), "--node", "node1"]) == 3
    assert "cannot be used" in capfd.readouterr().err


def test_a_context_that_is_not_there_ends_with_3(
    kubeconfig: str, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["render", "--kubeconfig", kubeconfig, "--context", "no", "--node", "node1"]

    assert main(arguments) == 3
    assert "cannot be used" in capfd.readouterr().err


class Replayed:
    """A transport that answers with bodies, in order, for each path."""

    def __init__(self, answers: Mapping[str, list[bytes | ApiServerError]]) -> None:
        self.answers = {path: list(bodies) for path, bodies in answers.items()}
        self.queries: list[Mapping[str, str]] = []

    def get(self, path: str, query: Mapping[str, str], *, read_timeout: float = 0) -> Any:  # noqa: ARG002
        self.queries.append(query)
        answer = self.answers[path].pop(0)
        if isinstance(answer, ApiServerError):
            raise answer

        class Response:
            def read(self) -> bytes:
                return answer

            def close(self) -> None:
                pass

        return Response()

    def renew(self) -> None:
        pass


EMPTY = b'{"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": []}'


def replayed(services: list[bytes | ApiServerError]) -> Replayed:
    slices = RECORDINGS["list-endpointslices"]["body"].encode()
    return Replayed(
        {
            "/api/v1/nodes": [EMPTY],
            "/api/v1/services": services,
            "/apis/discovery.k8s.io/v1/endpointslices": [slices],
        }
    )


def body(name: str) -> bytes:
    return str(RECORDINGS[name]["body"]).encode()


def test_recorded_pages_are_put_together_by_their_continue_token() -> None:
    transport = replayed([body("list-services-page-1"), body("list-services-page-2")])

    objects = fetch(transport=transport)

    pages = [json.loads(body(f"list-services-page-{n}")) for n in (1, 2)]
    expected = [item["metadata"]["name"] for page in pages for item in page["items"]]
    found = [raw["metadata"]["name"] for raw in objects if raw["kind"] == "Service"]
    assert found == expected
    assert transport.queries[2]["continue"] == pages[0]["metadata"]["continue"]
    assert not load_objects(objects, lenient=True).problems


def test_a_token_that_expired_begins_the_list_again_once() -> None:
    expired = ApiServerError("expired", status=410)
    whole = body("list-services")

    found = fetch(transport=replayed([body("list-services-page-1"), expired, whole]))

    names = [item["metadata"]["name"] for item in json.loads(whole)["items"]]
    assert [raw["metadata"]["name"] for raw in found if raw["kind"] == "Service"] == names
    with pytest.raises(ApiServerError, match="expired"):
        fetch(transport=replayed([expired, expired]))


@pytest.mark.parametrize(
    "answer", [b"<html>", b"[]", b'{"items": {"a": 1}}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_list_is_an_error_of_the_server(answer: bytes) -> None:
    with pytest.raises(ApiServerError, match="the API server: "):
        fetch(transport=replayed([answer]))


def test_a_page_that_repeats_itself_ends() -> None:
    page = b'{"metadata": {"continue": "x"}, "items": []}'

    with pytest.raises(ApiServerError, match="again and again"):
        fetch(transport=replayed([page, page, page]))


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place("prod", "https://10.0.0.1:6443"), "context prod (https://10.0.0.1:6443)"),
        (Place("p", "https://h/x", "shop"), "context p (https://h/x, namespace shop)"),
        (Place("p", "https://me:secret@h:1/k8s"), "context p (https://h:1/k8s)"),
        (Place("", "https://10.96.0.1"), "this Pod's service account (https://10.96.0.1)"),
    ],
)
def test_a_cluster_is_told_by_its_context_and_server_without_a_password(
    place: Place, words: str
) -> None:
    assert str(place) == words


def test_one_pod_is_fetched_by_its_name_and_may_not_be_there(tmp_path: Path) -> None:
    with ApiServer() as server:
        server.put({"kind": "Pod", "metadata": {"name": "a", "namespace": "shop"}})
        connection = Connection(kubeconfig=str(server.kubeconfig(tmp_path / "config")))

        found = fetch_pod(connection, "shop", "a")

        assert found is not None
        assert (found["kind"], found["metadata"]["name"]) == ("Pod", "a")
        assert fetch_pod(connection, "shop", "b") is None
        server.fail(Fault(status=403))
        with pytest.raises(ApiServerError, match="injected 403"):
            fetch_pod(connection, "shop", "a")

"""Objects of every client of Python give the rules of the mappings that they stand for."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from nptables import Cluster, InvalidInput, ProxyConfig, translate
from nptables.family import Family
from tests.support.clients import deserialized
from tests.support.clusters import endpoint, endpoint_slice, node, service

if TYPE_CHECKING:
    from collections.abc import Callable

OBJECTS: list[dict[str, Any]] = [
    service(creationTimestamp="2026-01-31T12:00:00Z", sessionAffinity="ClientIP"),
    endpoint_slice(endpoint("10.244.1.1")),
    node("node1"),
]


def of_kubernetes(raw: dict[str, Any]) -> Any:
    return deserialized(pytest.importorskip("kubernetes.client"), raw)


def of_kubernetes_asyncio(raw: dict[str, Any]) -> Any:
    client = pytest.importorskip("kubernetes_asyncio.client.api_client")

    async def made() -> Any:
        async with client.ApiClient() as api:
            found = deserialized(type("Client", (), {"ApiClient": lambda: api}), raw)
        return await found if asyncio.iscoroutine(found) else found

    return asyncio.run(made())


def of_lightkube(raw: dict[str, Any]) -> Any:
    group = {"EndpointSlice": "discovery_v1"}.get(raw["kind"], "core_v1")
    resources = pytest.importorskip(f"lightkube.resources.{group}")
    return getattr(resources, raw["kind"]).from_dict(raw)


def of_kr8s(raw: dict[str, Any]) -> Any:
    objects = pytest.importorskip("kr8s.objects")
    new_class = pytest.importorskip("kr8s").objects.new_class
    known = getattr(objects, raw["kind"], None)
    cls = known or new_class(raw["kind"], version=raw["apiVersion"], namespaced=True)
    return cls(raw, api=object())


def of_pydantic(raw: dict[str, Any]) -> Any:
    pydantic = pytest.importorskip("pydantic")

    class Thing(pydantic.BaseModel):
        api_version: str = pydantic.Field(alias="apiVersion")
        kind: str
        metadata: dict[str, Any]
        spec: dict[str, Any] | None = None
        model_config = pydantic.ConfigDict(extra="allow")

    return Thing.model_validate(raw)


CLIENTS = [of_kubernetes, of_kubernetes_asyncio, of_lightkube, of_kr8s, of_pydantic, dict]


def rules(objects: list[Any]) -> str:
    cluster = Cluster.from_objects(objects)
    return translate(cluster, cluster.node("node1"), ProxyConfig(), Family.IPV4).to_save()


@pytest.mark.parametrize("made", CLIENTS, ids=lambda made: made.__name__)
def test_objects_of_a_client_give_the_rules_of_their_mappings(
    made: Callable[[dict[str, Any]], Any],
) -> None:
    with warnings.catch_warnings():
        # Clients warn of their own dependencies.
        warnings.simplefilter("ignore")
        objects = [made(raw) for raw in OBJECTS]

    assert rules(objects) == rules(OBJECTS)
    assert "--rcheck --seconds 10800" in rules(objects)


class Held:
    """What kr8s has."""

    def __init__(self, raw: object) -> None:
        self.raw = raw


class Given:
    """What lightkube has."""

    def __init__(self, raw: object) -> None:
        self._raw = raw

    def to_dict(self) -> object:
        return self._raw


class Dumped:
    """What pydantic has."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw

    def model_dump(self, **options: object) -> object:
        assert options == {"mode": "json", "by_alias": True, "exclude_none": True}
        return self._raw


@pytest.mark.parametrize("form", [Held, Given, Dumped])
def test_an_object_is_told_by_its_form_alone(form: type) -> None:
    assert rules([form(raw) for raw in OBJECTS]) == rules(OBJECTS)
    listed = form({"apiVersion": "v1", "kind": "List", "items": [form(raw) for raw in OBJECTS]})
    assert rules([listed]) == rules(OBJECTS)


def test_a_kind_that_an_object_does_not_say_is_that_of_its_class() -> None:
    Service = type("Service", (Given,), {})  # noqa: N806 (the name of the kind)
    raw = {key: value for key, value in service().items() if key not in ("kind", "apiVersion")}

    assert Cluster.from_objects([Service(raw)]) == Cluster.from_objects([service()])


@pytest.mark.parametrize("thing", [Held(7), Given("text"), object(), 7, None, Given])
def test_what_holds_no_mapping_is_refused(thing: object) -> None:
    with pytest.raises(InvalidInput, match="must be a Kubernetes object"):
        Cluster.from_objects([thing])

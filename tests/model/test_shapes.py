"""Fields that a kind does not have, and values of a wrong type, with what was meant."""

from __future__ import annotations

from typing import Any

import pytest

from nptables.sources import load_objects


def problems(kind: str, version: str = "v1", **fields: Any) -> list[tuple[str, str, str]]:
    document = {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, **fields}
    found = load_objects([document]).problems
    return [(".".join(map(str, each.path)), each.message, each.hint) for each in found]


def pod(**container: Any) -> list[tuple[str, str, str]]:
    return problems("Pod", spec={"containers": [{"name": "c", "image": "i", **container}]})


def test_a_field_in_the_wrong_place_is_told_where_it_belongs() -> None:
    in_metadata = problems("Service", metadata={"name": "a", "clusterIP": "10.96.0.1"},
                           spec={"ports": [{"port": 80}]})  # fmt: skip
    in_endpoint = problems(
        "EndpointSlice", "discovery.k8s.io/v1", addressType="IPv4",
        endpoints=[{"addresses": ["10.0.0.1"], "serving": True}],
    )  # fmt: skip

    assert in_metadata == [("metadata.clusterIP", "unknown field", "it belongs under spec")]
    assert in_endpoint == [
        ("endpoints.0.serving", "unknown field", "it belongs under endpoints[].conditions")
    ]
    assert pod(emptyDir={}) == [
        ("spec.containers.0.emptyDir", "unknown field", "it belongs under spec.volumes[]")
    ]
    assert pod(imagePulPolicy="Always") == [
        ("spec.containers.0.imagePulPolicy", "unknown field", "did you mean imagePullPolicy?")
    ]


@pytest.mark.parametrize(
    ("limit", "message"),
    [("64Mi", None), ("1", None), (1, None), (0.5, None),
     (["64Mi"], "must be a quantity, not a list"), ({"a": 1}, "must be a quantity, not an object"),
     (True, "must be a quantity, not true")],
)  # fmt: skip
def test_a_quantity_is_a_number_or_text(limit: object, message: str | None) -> None:
    volumes = [{"name": "v", "emptyDir": {"sizeLimit": limit}}]

    found = problems("Pod", spec={"containers": [{"name": "c", "image": "i"}], "volumes": volumes})

    assert [text for _, text, _ in found] == ([message] if message else [])


@pytest.mark.parametrize(
    ("fields", "message", "hint"),
    [
        (
            {"tty": "True"},
            'must be true or false, not the string "True"',
            "write true without quotes",
        ),
        ({"tty": "yes"}, 'must be true or false, not the string "yes"', ""),
        ({"args": "sleep"}, 'must be a list, not the string "sleep"', "write [sleep]"),
        ({"args": {"a": "b"}}, "must be a list, not an object", "begin each item with '- '"),
        ({"ports": "80"}, 'must be a list, not the string "80"', ""),
        ({"args": [1]}, "must be a string, not the number 1", "put it in quotes"),
    ],
)
def test_a_wrong_type_is_told_with_what_would_be_right(
    fields: dict[str, Any], message: str, hint: str
) -> None:
    ((_, said, meant),) = pod(**fields)

    assert (said, meant) == (message, hint)


def test_beside_a_mistake_only_what_is_no_time_is_told() -> None:
    def told(time: object) -> list[str]:
        metadata = {"name": "a", "creationTimestamp": time, "wrong": 1}
        spec = {"ports": [{"port": 80}]}
        return [path for path, _, _ in problems("Service", metadata=metadata, spec=spec)]

    assert told("2026-01-31T12:00:00Z") == ["metadata.wrong"]
    assert told("2026-01-31") == ["metadata.creationTimestamp", "metadata.wrong"]
    assert told(5) == ["metadata.creationTimestamp", "metadata.wrong"]

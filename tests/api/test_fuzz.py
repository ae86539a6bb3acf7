"""Whatever is sent to any address of the OpenAPI document, the answer is one it describes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from marts_world import MartsWorld, copied
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 5


@pytest.fixture(scope="module")
def fuzzed(marts: MartsWorld) -> Iterator[MartsWorld]:
    with copied(marts) as world:
        yield world


def test_openapi_has_an_example_of_every_answer_and_parameter(marts: MartsWorld) -> None:
    document = marts.door.client.get("/openapi.json").json()
    shown = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation.get("description") or operation.get("summary"), where
            for parameter in operation.get("parameters", []):
                schema = parameter["schema"]
                assert parameter.get("description"), (where, parameter["name"])
                assert "example" in parameter or "examples" in schema or "default" in schema, (
                    where,
                    parameter["name"],
                )
            for status, response in operation["responses"].items():
                content = response.get("content", {}).get("application/json")
                if content is None or not status.startswith("2"):
                    continue
                named = content.get("examples", {})
                examples = [content["example"]] if "example" in content else []
                examples += [example["value"] for example in named.values()]
                assert examples, (where, status)
                schema = {**content["schema"], "components": document["components"]}
                for example in examples:
                    jsonschema.validate(example, schema, cls=jsonschema.Draft202012Validator)
                    shown += 1
    assert shown > 20


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_one_that_openapi_describes(
    fuzzed: MartsWorld, mode: GenerationMode
) -> None:
    document = fuzzed.door.client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    key = fuzzed.door.key("admin")
    found: dict[str, str] = {}
    tried = 0
    with requests.Session() as session:
        for result in schema.get_all_operations():
            operation = result.ok()

            @settings(
                max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
                suppress_health_check=list(HealthCheck), print_blob=False,
            )  # fmt: skip
            @given(case=operation.as_strategy(mode))
            def call(case: Any) -> None:
                nonlocal tried
                tried += 1
                response = case.call(
                    base_url=fuzzed.door.url, session=session, headers={"x-api-key": key}
                )
                case.validate_response(response, checks=CHECKS)

            try:
                call()
            except schemathesis.core.failures.FailureGroup as group:
                found[operation.label] = "\n".join(str(e) for e in group.exceptions)
            except Unsatisfiable:
                # An operation without parameters has nothing that could be wrong.
                assert mode == GenerationMode.NEGATIVE
            except Exception as error:  # noqa: BLE001 (all of them are to be seen at once)
                found[operation.label] = f"{type(error).__name__}: {error}"[:2000]
    assert found == {}
    assert tried > 100

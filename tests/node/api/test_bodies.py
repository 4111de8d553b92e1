"""The schema says what the API does: generated requests, sensible and not, are answered as it promises."""

from __future__ import annotations

import tempfile
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from node.api.app import build_app
from node.api.keys import Keys
from tests.fakes import FakeMesh

PORT = 4711
HEADERS = {"host": f"127.0.0.1:{PORT}", "authorization": "Bearer secret"}

MESH = FakeMesh(Path(tempfile.mkdtemp()))
schema = schemathesis.openapi.from_asgi(
    "/v1/openapi.json", build_app(MESH, Keys(lambda: 0.0, "secret"), PORT), headers=HEADERS
).exclude(path="/v1/events")


@schema.parametrize()
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_the_schema_says(case: schemathesis.Case) -> None:
    response = case.call(headers=HEADERS)
    if response.status_code == 413:
        return  # the guard has refused it by its length, before the schema had a say
    unfit = [ignored_auth]  # the harness cannot take a header away that the guard needs; test_guard.py does
    if "Address" in response.text or "address" in response.text:
        unfit.append(positive_data_acceptance)  # what an address is, no schema can say: p2p/addresses.py does
    case.validate_response(response, excluded_checks=unfit)
    assert response.status_code < 500

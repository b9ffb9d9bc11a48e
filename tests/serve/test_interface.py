"""The server keeps to its own OpenAPI, whatever it is asked."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.generation import GenerationMode
from served import Echo

from hf_ext.serve import Limits, make_app, open_model

load_all_checks()
# A request may be of the right form and make no sense still, as a prompt that is too long: no check of acceptance. The
# methods of a path are told by Starlette alone.
CHECKED = [
    check
    for name, check in ((name, CHECKS.get_one(name)) for name in CHECKS.get_all_names())
    if name not in ("positive_data_acceptance", "unsupported_method", "allow_header_conformance")
]
# The same requests each time, and as many as a few seconds hold.
BOUNDED = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def schema(folders):
    predictors = {
        "echo": Echo(),
        "reader": open_model(str(folders["reader"])),
        "encoder": open_model(str(folders["encoder"])),
        "writer": open_model(str(folders["writer"]), "completion"),
    }
    app = make_app(predictors, Limits(texts=3, characters=40, new_tokens=4, wait_ms=0))
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def statuses_of(operation, mode):
    """The statuses of answers to requests for an operation, each of which is as the interface says."""
    seen = set()

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        response = case.call()
        seen.add(response.status_code)
        case.validate_response(response, checks=CHECKED)

    ask()
    return seen


def test_answers_are_as_the_interface_says(schema):
    operations = [found.ok() for found in schema.get_all_operations()]
    right = {one.path: statuses_of(one, GenerationMode.POSITIVE) for one in operations}
    wrong = {one.path: statuses_of(one, GenerationMode.NEGATIVE) for one in operations if one.body}
    assert len(right) == 8
    assert all(200 in right[path] for path in ("/health", "/models/echo/predict", "/v1/models")), right
    assert all(seen <= {200, 404, 422} for seen in right.values()), right
    assert len(wrong) == 4
    assert all(seen <= {400, 422} for seen in wrong.values()), wrong

"""Options that a service and its runner must agree on."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from bentos.conversational_ai.service import ChatRunner, ConversationalAI
from bentos.outfit_recommendation.service import OutfitRecommendation, OutfitRunner
from bentos.serving.process import HttpPart
from bentos.visual_analysis.service import DetectorRunner, VisualAnalysis

CALLS_PER_REQUEST = 3
SERVICES = [(VisualAnalysis, DetectorRunner), (OutfitRecommendation, OutfitRunner), (ConversationalAI, ChatRunner)]


@pytest.mark.parametrize(("service", "runner"), SERVICES)
def test_the_runners_clock_ends_first(service: Any, runner: Any) -> None:
    """Otherwise BentoML answers before the service; its client adds one percent."""
    assert service.config["traffic"]["timeout"] > CALLS_PER_REQUEST * 1.01 * runner.config["traffic"]["timeout"]


@pytest.mark.parametrize(("_service", "runner"), SERVICES)
def test_health_does_not_wait_for_the_model(_service: Any, runner: Any) -> None:
    """BentoML runs what is not async in the one thread that the model runs in."""
    assert inspect.iscoroutinefunction(runner.apis["status"].func)


@pytest.mark.parametrize(("_service", "runner"), SERVICES)
def test_the_client_of_a_runner_keeps_its_connections(_service: Any, runner: Any) -> None:
    """After the default of 100 requests BentoML closes those in use too, and answers under way break off."""
    assert runner.config["runner_connection"]["max_requests"] > 1e9
    assert runner.config["runner_connection"]["max_age"] > 1e8


@pytest.mark.parametrize(("_service", "runner"), SERVICES[:2])
def test_no_answer_has_its_schema_made_to_name_its_media_type(_service: Any, runner: Any, monkeypatch: Any) -> None:
    def made(*_given: object) -> None:
        raise AssertionError("the JSON schema of an answer was made")

    monkeypatch.setattr("pydantic.TypeAdapter.json_schema", made)
    assert {method.output_spec.mime_type() for method in runner.apis.values()} == {"application/json"}


@pytest.mark.parametrize(("service", "runner"), SERVICES)
def test_every_service_has_what_an_operator_needs(service: Any, runner: Any) -> None:
    """`test_served.py` shows what each of them does."""
    assert issubclass(service.inner, HttpPart), "readiness, and dead processes that are replaced in containers"
    assert "/metrics" in service.schema()["paths"]
    assert not service.config["metrics"]["enabled"], "BentoML's are labelled by path"
    for part in (service, runner):
        assert not part.config["logging"]["access"]["enabled"], "BentoML's access log has no request id"

"""What the two parts of each service owe to each other."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from bentos.conversational_ai.service import ConversationalAI, Conversationalist
from bentos.outfit_recommendation.service import OutfitRecommendation, OutfitScorer
from bentos.visual_analysis.service import DetectorModel, VisualAnalysis

CALLS_PER_REQUEST = 3
PARTS = [(VisualAnalysis, DetectorModel), (OutfitRecommendation, OutfitScorer), (ConversationalAI, Conversationalist)]


@pytest.mark.parametrize(("api", "model"), PARTS)
def test_the_model_parts_clock_ends_first(api: Any, model: Any) -> None:
    """Else BentoML answers for the API part, in its own words; its client adds one percent."""
    assert api.config["traffic"]["timeout"] > CALLS_PER_REQUEST * 1.01 * model.config["traffic"]["timeout"]


@pytest.mark.parametrize(("_api", "model"), PARTS)
def test_health_does_not_wait_for_the_model(_api: Any, model: Any) -> None:
    """BentoML runs what is not async in the one thread that the model runs in."""
    assert inspect.iscoroutinefunction(model.apis["about"].func)


@pytest.mark.parametrize(("_api", "model"), PARTS)
def test_the_client_of_a_model_part_keeps_its_connections(_api: Any, model: Any) -> None:
    """After the default of 100 requests BentoML closes those in use too, and answers under way break off."""
    assert model.config["runner_connection"]["max_requests"] > 1e9
    assert model.config["runner_connection"]["max_age"] > 1e8

"""The card of a version: the deciding metric first, the champion beside it, the weakest slice on top."""

from __future__ import annotations

from typing import Any

from aura.registry import ModelVersion
from flows.gate import Verdict
from flows.model_card import version_page
from training.models import MODELS

EVALUATION: dict[str, Any] = {
    "metrics": {"ap": 0.25, "ap50": 0.5},
    "slices": {"category": {"shoes": 0.9, "tops|tees": 0.125}},
    "slice_sizes": {"category": {"shoes": 31}},
    "n": 60,
}
CHAMPION = ModelVersion(
    model="detection", version="4", run_id="r", created="", tags={"candidate_id": "old"}, aliases=["champion"]
)


def card(champion: dict[str, Any] | None, before: ModelVersion | None) -> list[str]:
    comparison = {"challenger": EVALUATION, "champion": champion, "champion_candidate_id": "old" if champion else None}
    verdict = Verdict(promote=True, metric="ap50", challenger=0.5, champion=None, reasons=["one", "two"])
    return version_page(MODELS["detection"], "5", comparison, verdict, before).description.splitlines()


def test_it_says_the_verdict_and_puts_the_deciding_metric_first() -> None:
    lines = card(None, None)
    assert lines[0] == "ap50 0.5000, promoted: one; two"
    assert "## Metrics on the reported half of the test split (60 cases)" in lines
    header = lines.index("| metric | this version | what it says |")
    assert lines[header + 2].startswith("| **ap50** | 0.5000 | mean average precision at IoU 0.5; ")
    assert lines[header + 3].startswith("| ap | 0.2500 | ")


def test_the_champion_is_named_where_it_is_what_the_comparison_was_made_with() -> None:
    old = {"metrics": {"ap50": 0.4}, "slices": {"category": {"shoes": 0.8}}}
    lines = card(old, CHAMPION)
    assert "| metric | this version | champion (v4) | what it says |" in lines
    assert any(line.startswith("| **ap50** | 0.5000 | 0.4000 |") for line in lines)
    assert any(line.startswith("| ap | 0.2500 | - |") for line in lines), "the champion was not measured by it"
    assert "| metric | this version | champion | what it says |" in card(old, None)


def test_slices_stand_with_the_weakest_first_and_cannot_break_the_table() -> None:
    lines = card(None, None)
    at = lines.index("## ap50 per category")
    assert lines[at + 4 : at + 6] == ["| tops/tees | 0.1250 | - |", "| shoes | 0.9000 | 31 |"]


def test_it_says_which_average_with_the_champion_it_is() -> None:
    average = {"alpha": 0.5, "metric": "ap50", "validation": {"0.5": 0.52, "1": 0.5}}
    comparison = {"challenger": EVALUATION, "champion": None, "champion_candidate_id": None, "average": average}
    verdict = Verdict(promote=True, metric="ap50", challenger=0.5, champion=None)
    page = version_page(MODELS["detection"], "5", comparison, verdict, None)
    assert "0.5 challenger, 0.5 champion; validation ap50 per share of the challenger: 0.5: 0.520, 1: 0.500" in (
        page.description
    )
    assert not any("Averages" in line for line in card(None, None))


def test_metrics_are_logged_in_sections_of_charts() -> None:
    comparison = {"challenger": EVALUATION, "champion": None, "champion_candidate_id": None}
    verdict = Verdict(promote=False, metric="ap50", challenger=0.5, champion=None)
    page = version_page(MODELS["detection"], "5", comparison, verdict, None)
    assert page.title == "detection v5"
    assert page.metrics == {
        "test/ap": 0.25, "test/ap50": 0.5, "test/category/shoes": 0.9, "test/category/tops|tees": 0.125,
    }  # fmt: skip

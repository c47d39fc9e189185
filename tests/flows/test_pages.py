"""Two nights on MLflow's page, in a real browser: the view of model training, a version's metrics, runs side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from aura.artifact import write_json
from aura.registry import Registry
from aura.tracking import TrackingSettings, open_tracker
from flows.gate import Verdict
from flows.model_card import version_page
from tests.pages import HANG_MS, page, served_pages
from training.models import MODELS

__all__ = ["page"]  # fixture
pytestmark = pytest.mark.slow
expect.set_options(timeout=HANG_MS)

AP50 = ("0.4142", "0.5236")
"""Of the first and the second night; no other figure of the nights looks like them."""


def judged_night(registry: Registry, folder: Path, night: int, champion: dict[str, object] | None) -> dict[str, object]:
    """A detector trained, registered, judged and promoted; what the evaluation found of it."""
    spec, candidate = MODELS["detection"], f"candidate of night {night}"
    tracker = open_tracker(
        TrackingSettings(), experiment="sample/detection", run_name=f"detection-{night}", folder=folder / "checkpoints"
    )
    tracker.log_params({"detection.max_epochs": 10 * night})
    for step in range(5):
        tracker.log_metrics({"train/loss": 1 / (step + night)}, step=step)
    Image.new("RGB", (60, 40), "teal").save(folder / "boxes.png")
    tracker.log_picture(folder / "boxes.png")
    tracker.finish()
    write_json(folder / "model" / "config.json", {"night": night})
    found = {
        "metrics": {"ap50": float(AP50[night - 1]), "ap": 0.1 * night},
        "slices": {"category": {"shoes": 0.3, "tops": 0.2}},
        "slice_sizes": {"category": {"shoes": 31, "tops": 57}},
        "n": 60,
    }
    comparison = {
        "challenger": found, "champion": champion, "candidate_id": candidate,
        "champion_candidate_id": f"candidate of night {night - 1}" if champion else None,
    }  # fmt: skip
    reason = "ap50 rises from 0.414 to 0.524" if champion else "first champion"
    verdict = Verdict(
        promote=True, metric="ap50", challenger=float(AP50[night - 1]), champion=float(AP50[0]) if champion else None,
        reasons=[reason],
    )  # fmt: skip
    before = registry.at("detection", "champion")
    version = registry.register(
        "detection", folder / "model", run_id=tracker.run_id, tags={"candidate_id": candidate, "gate_metric": "ap50"}
    )
    registry.promote("detection", version.version)
    registry.publish(version, version_page(spec, version.version, comparison, verdict, before))
    return found


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Root of MLflow's page after two nights."""
    folder = tmp_path_factory.mktemp("nights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AURA_HOME", str(folder / "home"))
        registry = Registry(TrackingSettings(), "sample")
        champion = None
        for night in (1, 2):
            (folder / str(night)).mkdir()
            champion = judged_night(registry, folder / str(night), night, champion)
    with served_pages(folder / "home", folder / "ui.log") as served:
        yield served["mlflow"]


def test_it_opens_as_model_training_and_lists_the_runs_by_version(page: Page, mlflow: str) -> None:
    page.goto(mlflow)
    page.get_by_role("link", name="sample/detection").click()
    expect(page.get_by_role("link", name="detection v2").first).to_be_visible()
    expect(page.get_by_text("Runs", exact=True).first).to_be_visible()
    expect(page.get_by_text("Agent versions")).to_have_count(0)


def test_an_experiment_opens_as_model_training_for_someone_with_a_link(page: Page, mlflow: str) -> None:
    page.goto(f"{mlflow.split('#')[0]}#/experiments/1")
    expect(page.get_by_role("link", name="detection v2").first).to_be_visible()
    expect(page.get_by_text("Agent versions")).to_have_count(0)


def test_the_page_of_a_version_has_verdict_figures_slices_and_pictures(page: Page, mlflow: str) -> None:
    page.goto(f"{mlflow.split('#')[0]}#/models/sample.detection/versions/2")
    card = page.get_by_test_id("note-editor-preview-content")
    expect(card).to_contain_text(f"ap50 {AP50[1]}, promoted: ap50 rises from 0.414 to 0.524")
    row = card.get_by_role("row").filter(has_text="ap50").filter(has_text="mean average precision at IoU 0.5")
    expect(row.get_by_role("cell")).to_have_text(["ap50", AP50[1], AP50[0], re.compile("higher is better")])
    expect(card.get_by_role("row").filter(has_text="shoes").get_by_role("cell").nth(3)).to_have_text("31")
    picture = card.locator("img")
    expect(picture).to_be_visible()
    page.wait_for_function("image => image.naturalWidth === 60", arg=picture.element_handle())


def test_two_nights_stand_side_by_side(page: Page, mlflow: str) -> None:
    page.goto(f"{mlflow.split('#')[0]}#/experiments/1")
    for name in ("detection v1", "detection v2"):
        # By force: the box lies under the row's own layer of the table.
        page.get_by_role("row").filter(has_text=name).get_by_role("checkbox").first.check(force=True)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("link", name="test/ap50", exact=True)).to_be_visible()
    for figure in AP50:
        expect(page.get_by_text(f"{float(figure):.3f}", exact=True).first).to_be_visible()


def test_the_models_of_an_experiment_show_what_they_were_judged_by(page: Page, mlflow: str) -> None:
    page.goto(f"{mlflow.split('#')[0]}#/experiments/1/models")
    expect(page.get_by_text("detection v2").first).to_be_visible()
    expect(page.get_by_text("sample.detection").first).to_be_visible()

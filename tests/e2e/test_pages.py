"""The pages after a night, in a real browser: last night's run on Prefect's, the champions' metrics on MLflow's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Nights
from tests.pages import HANG_MS, page, served_pages

__all__ = ["page"]  # fixture
pytestmark = pytest.mark.slow
expect.set_options(timeout=HANG_MS)


@pytest.fixture(scope="module")
def pages(nights: Nights) -> Iterator[dict[str, str]]:
    with served_pages(nights.world.home, nights.world.home / "ui.log") as served:
        yield served


def results(nights: Nights) -> list[dict[str, Any]]:
    """`result.json` of every night, in order."""
    files = sorted((nights.world.home / "reports" / "sample").glob("night-*/result.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def test_prefects_page_shows_last_nights_run(page: Page, pages: dict[str, str], nights: Nights) -> None:
    page.goto(pages["prefect"])
    last = results(nights)[-1]
    run = page.get_by_role("link", name=f"sample {last['started'][:16].replace('T', ' ')}").first
    expect(run).to_be_visible()
    expect(page.get_by_text("Can't connect to Server API")).to_have_count(0)
    run.click()
    expect(page.get_by_text("Completed").first).to_be_visible()
    expect(page).to_have_url(re.compile(last["flow_run_id"]))


@pytest.mark.parametrize("model", ["detection", "outfits", "chat"])
def test_mlflows_page_of_a_champion_has_its_figures_and_pictures(
    page: Page, pages: dict[str, str], nights: Nights, model: str
) -> None:
    # The night that promoted it is the first that ended.
    outcome = results(nights)[0]["models"][model]
    page.goto(f"{pages['mlflow'].split('#')[0]}#/models/sample.{model}/versions/{outcome['version']}")
    card = page.get_by_test_id("note-editor-preview-content")
    expect(card).to_contain_text(f"{outcome['challenger']:.4f}, {outcome['verdict']}: {outcome['reasons'][0]}")
    deciding = card.locator("tr:has(strong)")
    expect(deciding.get_by_role("cell").nth(0)).to_have_text(outcome["metric"])
    expect(deciding.get_by_role("cell").nth(1)).to_have_text(f"{outcome['challenger']:.4f}")
    pictures = card.locator("img")
    expect(pictures.first).to_be_visible()
    for picture in pictures.all():
        page.wait_for_function("image => image.naturalWidth > 100", arg=picture.element_handle())


def test_mlflows_page_opens_on_the_trainings(page: Page, pages: dict[str, str]) -> None:
    page.goto(pages["mlflow"])
    for model in ("detection", "outfits", "chat"):
        expect(page.get_by_role("link", name=f"sample/{model}")).to_be_visible()

"""The night as an operator sees it: killed, carried on, idle; what it leaves for people and programs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest

from aura.training_sources import DRAWN_ONLY
from tests.e2e.conftest import SERVICES, Nights

pytestmark = pytest.mark.slow
MODELS = ("detection", "outfits", "chat")


def test_a_killed_night_leaves_nothing_running(nights: Nights) -> None:
    assert "detection" in nights.killed_in
    assert nights.left_running == []


def test_the_next_night_carries_on_and_ends_well(nights: Nights) -> None:
    output = nights.second.stdout + nights.second.stderr
    assert nights.second.returncode == 0, output
    assert "this run continues its work" in output
    # And what had ended beside the detector's training.
    assert re.search(r"Nothing to do in \d of 9 stages: prepare", output)
    for model in MODELS:
        assert f"{model}: first champion" in output
    for service in SERVICES:
        assert f"({service} answered)" in output


def test_a_night_names_a_photo_to_try_and_what_its_models_have_seen(nights: Nights) -> None:
    output = " ".join((nights.second.stdout + nights.second.stderr).split())
    photo = nights.world.home / "reports" / "sample" / "example.jpg"
    assert photo.is_file()
    assert str(photo) in output
    assert f"detection: {DRAWN_ONLY}" in output
    report = (photo.parent / "latest.md").read_text(encoding="utf-8")
    assert f"- detection: {DRAWN_ONLY}" in report
    assert f"- outfits: {DRAWN_ONLY}" in report
    assert str(photo) in report


def test_a_night_without_news_does_nothing_and_says_so(nights: Nights) -> None:
    output = nights.third.stdout + nights.third.stderr
    assert nights.third.returncode == 0, output
    assert "Nothing to do in 9 of 9 stages" in output
    assert output.count("nothing new") >= len(MODELS)


def test_nothing_is_registered_twice(nights: Nights) -> None:
    listed = json.loads(nights.world.aura("models", "list", "--json").stdout)
    assert sorted((version["model"], version["version"]) for version in listed) == sorted(
        (model, "1") for model in MODELS
    )
    assert all("champion" in version["aliases"] for version in listed)


def test_status_tells_programs_what_serves(nights: Nights) -> None:
    status = json.loads(nights.world.aura("status", "--json").stdout)
    assert {model: aliases["champion"] for model, aliases in status["models"].items()} == dict.fromkeys(MODELS, "1")
    assert status["index"] == {"ready": True, "version": 1}
    assert status["last_night"]["tag"].startswith("night-")
    assert status["running"] is None


def test_the_index_is_searched_from_the_command_line(nights: Nights) -> None:
    found = json.loads(
        nights.world.aura("index", "search", "how do I wash a wool jumper", "--json", settings=False).stdout
    )
    assert "wool" in " ".join(hit["slug"] for hit in found[:3])
    items = json.loads(nights.world.aura("index", "search", "blue", "--catalog", "--json", settings=False).stdout)
    assert items
    assert items[0]["title"]


def test_the_plots_of_the_pipeline_show_every_training(nights: Nights) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "plots", "show", "--json"],
        cwd=nights.world.home / "pipelines" / "sample", capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    # What DVC says of a column that nothing writes; it ends well all the same.
    assert "could not find" not in done.stderr
    drawn = json.loads(done.stdout)["data"]
    assert set(drawn) == {"detector", "outfits", "chat"}
    assert all(plot["content"]["data"]["values"] for plots in drawn.values() for plot in plots)


def test_the_report_has_pictures_that_exist(nights: Nights) -> None:
    folder = nights.world.home / "reports" / "sample"
    report = (folder / "latest.md").read_text(encoding="utf-8")
    links = [line.split("](")[1].rstrip(")") for line in report.splitlines() if line.startswith("![")]
    assert len(links) >= 6
    assert all((folder / link).is_file() for link in links)


def test_every_night_leaves_its_result_for_programs(nights: Nights) -> None:
    folder = nights.world.home / "reports" / "sample"
    latest = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert (latest["schema"], latest["good"], latest["problems"]) == (1, True, {})
    assert latest["models"].keys() == set(MODELS)
    assert {outcome["verdict"] for outcome in latest["models"].values()} == {"nothing new"}
    assert [stage["ran"] for stage in latest["stages"]] == [False] * 9
    every = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("night-*/result.json"))]
    assert every[-1] == latest
    assert "promoted" in {outcome["verdict"] for outcome in every[0]["models"].values()}
    assert all(path.with_name("report.md").is_file() for path in folder.glob("night-*/result.json"))


def test_nights_leave_the_checkout_as_it_was(nights: Nights) -> None:
    assert nights.checkout_after == nights.checkout_before


@pytest.mark.exhaustive
def test_a_deleted_bento_is_built_again(nights: Nights) -> None:
    bento = nights.world.home / "bentoml" / "bentos" / "outfit_recommendation"
    (version,) = [path.name for path in bento.iterdir() if path.is_dir()]
    shutil.rmtree(bento)
    assert nights.world.aura("nightly").returncode == 0
    assert (bento / version / "bento.yaml").is_file()


def test_a_recorded_night_can_be_brought_back(nights: Nights) -> None:
    world = nights.world
    tag = json.loads(world.aura("status", "--json").stdout)["last_night"]["tag"]
    target = world.home / "restored"
    done = world.aura("data", "restore", tag, "--to", str(target), settings=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (target / "data" / "detection" / "train.json").is_file()
    assert (target / "models" / "detection" / "config.json").is_file()


def test_a_night_without_its_data_ends_with_a_report_that_says_what_to_do(nights: Nights) -> None:
    world = nights.world
    night = world.aura("nightly", "--profile", "ccp", settings=False)
    output = night.stdout + night.stderr
    assert night.returncode == 1, output
    assert "run: aura data import ccp PATH" in output
    assert output.count("not tried: prepare failed") >= len(MODELS)
    report = (world.home / "reports" / "ccp" / "latest.md").read_text(encoding="utf-8")
    assert "## Problems" in report
    result = json.loads((world.home / "reports" / "ccp" / "result.json").read_text(encoding="utf-8"))
    assert result["good"] is False
    assert "prepare" in result["problems"]
    assert "aura data import ccp PATH" in report


def test_commands_that_move_aliases_say_what_is_wrong(nights: Nights) -> None:
    world = nights.world
    again = world.aura("models", "promote", "outfits", "1", settings=False)
    assert again.returncode == 0, again.stderr
    refused = world.aura("models", "rollback", "outfits", settings=False)
    assert refused.returncode == 2
    assert "previous" in refused.stderr
    unknown = world.aura("models", "promote", "outfits", "9", settings=False)
    assert unknown.returncode == 2
    assert "9" in unknown.stderr

"""The index that runners answer from lies in an object store, which may be away for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aura.errors import IndexUnavailableError
from aura.releases import Release
from aura.taxonomy import Category
from bentos.conversational_ai.messages import FoundPassages, RetrieveRequest
from bentos.conversational_ai.model import ChatRunner
from bentos.outfit_recommendation.catalog import NO_CATALOG
from bentos.outfit_recommendation.model import OutfitRunner
from bentos.serving import following
from bentos.serving.assets import open_assets
from bentos.serving.errors import Failure, error_status
from bentos.visual_analysis.model import DetectorRunner
from inference.detection.artifact import LabelRules
from inference.retrieval.chunks import Page
from inference.retrieval.releases import served_index
from tests.bentos.outfit_recommendation.test_served_catalog import Network
from tests.bentos.small_index import Constant, SmallIndex
from tests.bentos.stub_assets import RELEASE, StubAssets
from tests.s3_server import BUCKET, S3Server, s3_server

PAGE = Page(
    slug="wool", title="Wool", topic="care", season="all", occasion="all", garment="all",
    body="# Wool\n\nAbout it.\n\n## Washing\nWash wool by hand.\n",
)  # fmt: skip
ASKED = RetrieveRequest(query="wash wool", k=1, request_id="abc-1")
AWAY = "passages and items may not be found: the object store of the index does not answer"


class Detector:
    """A detector that is asked for nothing."""

    canvas_px = (64, 96)
    rules = LabelRules(labels=(), thresholds=(), nms_iou=None)


class Model:
    """A chat model that is asked for nothing."""

    question_tokens = 256


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    monkeypatch.setattr(following, "INDEX_SECONDS", 0.0)
    with s3_server() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def release(server: S3Server, tmp_path: Path) -> Release:  # noqa: ARG001
    """A release whose index is published at `AURA_INDEX__URI`."""
    index = SmallIndex(tmp_path, uri=f"s3://{BUCKET}/index/sample")
    index.publish({"i1": Category.TOPS}, pages=[PAGE])
    return replace(RELEASE, index=served_index(index.uri))


class Assets(StubAssets):
    """Opens the index whenever it is asked for it."""

    def index(self, release: Release, **_: bool) -> Any:
        from inference.retrieval.search import Index

        assert release.index is not None
        return Index.at(f"s3://{BUCKET}/index/sample", release.index, lambda _: Constant(), lambda _: Constant())


def degraded(runner: Any) -> list[str]:
    found: list[str] = asyncio.run(runner.status()).degraded
    return found


def runner_of(release: Release) -> Any:
    model: Any = Model()
    return ChatRunner.inner(Assets(serves=release), lambda *_: model)


def test_passages_are_found_and_an_object_store_that_is_away_is_told(release: Release, server: S3Server) -> None:
    runner = runner_of(release)
    [found] = runner.retrieve([ASKED])
    assert isinstance(found, FoundPassages)
    assert ([passage.heading for passage in found.passages], found.index_version) == (["Washing"], "1")
    runner._served.look()
    assert degraded(runner) == []
    server.stop()
    runner._served.look()
    assert degraded(runner) == [AWAY]
    server.start()
    runner._served.look()
    assert degraded(runner) == []


@pytest.mark.parametrize(
    ("kind", "model", "lacks"),
    [
        (ChatRunner, Model(), "questions are not answered: there is no index yet"),
        (DetectorRunner, Detector(), "photos are analysed without similar items: no index is served yet"),
        (OutfitRunner, Network(), NO_CATALOG),
    ],
)
def test_a_runner_that_starts_meanwhile_answers_when_the_store_is_back(
    release: Release, server: S3Server, tmp_path: Path, kind: Any, model: Any, lacks: str
) -> None:
    server.stop()
    runner = kind.inner(Assets(serves=release, champion_folder=tmp_path), lambda *_: model)
    assert degraded(runner) == [AWAY, lacks]
    server.start()
    runner._served.look()
    assert degraded(runner) == []
    assert release.index is not None
    assert asyncio.run(runner.status()).release.versions["index"] == str(release.index.number)


def test_a_search_of_a_store_that_is_away_fails_in_words(release: Release, server: S3Server) -> None:
    runner = runner_of(release)
    server.stop()
    [failed] = runner.retrieve([ASKED])  # the first: nothing of the table is in memory yet
    assert isinstance(failed, Failure)
    error = failed.error()
    assert isinstance(error, IndexUnavailableError)
    assert error_status(error) == 503


def test_the_setting_is_what_a_service_answers_from(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_INDEX__URI", f"s3://{BUCKET}/index")
    index = open_assets().index(release)
    assert index is not None
    assert [row.item_id for row in index.catalog().rows] == ["i1"]

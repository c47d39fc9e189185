"""The evaluation of an artifact: one encoding per garment, metrics beside the baselines', the device of the settings."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aura.prepared_rows import ItemRow
from aura.taxonomy import Category
from inference.outfits import artifact
from inference.outfits.calibration import Calibration
from inference.outfits.items import Item
from inference.outfits.model import OutfitModel
from inference.outfits.network import OutfitNetwork
from inference.outfits.term_pairs import TermPairs
from inference.outfits.towers import FrozenTowers, ItemTensors
from tests.training.outfits.conftest import COUNTS, make_context, quick_settings, read_rows, write_rows
from training import judged
from training.outfits import cached_model
from training.outfits import evaluate as evaluation
from training.outfits import train as whole_training
from training.outfits.cached_model import CachedOutfitModel
from training.outfits.data import OutfitTables, as_served, read_tables
from training.outfits.evaluate import controls, evaluate
from training.outfits.module import CachedNetwork
from training.outfits.spec import SPEC
from training.paired import differences

_QUESTIONS = 2000


@pytest.fixture(scope="module")
def untrained(towers: FrozenTowers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifact of a network of random weights."""
    torch.manual_seed(0)
    network = OutfitNetwork(quick_settings().network, towers.category_texts(), towers.image_features)
    folder = tmp_path_factory.mktemp("untrained")
    terms = TermPairs(("plain", "red", "top"), torch.eye(3), torch.eye(12))
    artifact.save(network, terms, Calibration(), folder)
    return folder


@pytest.fixture(scope="module")
def tables(prepared: Path) -> OutfitTables:
    return read_tables(prepared)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Counter[str]]]:
    """How often each garment was opened from disk and read by the towers."""
    counts: dict[str, Counter[str]] = {"opened": Counter(), "encoded": Counter()}
    read_items = FrozenTowers.read

    def item(row: ItemRow, *, titles: bool = True) -> Item:
        counts["opened"][row.item_id] += 1
        return as_served(row, titles=titles)

    def encoded(self: FrozenTowers, items: Sequence[Item]) -> ItemTensors:
        counts["encoded"].update(item.item_id for item in items)
        return read_items(self, items)

    monkeypatch.setattr(cached_model, "as_served", item)
    monkeypatch.setattr(FrozenTowers, "read", encoded)
    return counts


class AsServed:
    """Answers the questions through the requests that a service makes, each with its garments' images; nothing is kept."""

    def __init__(self, model: OutfitModel, rows: dict[str, ItemRow], *, titles: bool = True) -> None:
        self._model = model
        items = {name: as_served(row) for name, row in rows.items()}
        # As a request without titles: the model itself looks what the picture shows.
        bare = {"title": "", "title_from_picture": False}
        self._items = {
            name: item if titles and item.has_own_title else replace(item, **bare) for name, item in items.items()
        }

    def _outfits(self, outfits: Sequence[Sequence[str]]) -> list[list[Item]]:
        return [[self._items[name] for name in outfit] for outfit in outfits]

    def score(self, outfits: Sequence[Sequence[str]]) -> np.ndarray:
        return np.asarray(self._model.score(self._outfits(outfits)))

    def queries(self, contexts: Sequence[Sequence[str]], targets: Sequence[Category]) -> np.ndarray:
        return self._model.queries(self._outfits(contexts), targets)

    def embed(self, items: Sequence[str]) -> np.ndarray:
        return self._model.embed_items([self._items[name] for name in items])


def test_an_evaluation_encodes_each_garment_once(
    untrained: Path, prepared: Path, tables: OutfitTables, read: dict[str, Counter[str]]
) -> None:
    evaluate(untrained, prepared, quick_settings(max_questions=_QUESTIONS), seed=7)
    # With titles retrieval searches all garments of the three categories that are asked for, and there are no others.
    tested = set(tables.used_in("test"))
    assert read["encoded"] == Counter({name: 1 + (name in tested) for name in tables.items})
    assert read["opened"] == read["encoded"]


def test_metrics_are_those_of_the_requests_that_a_service_makes(
    untrained: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick_settings(max_questions=_QUESTIONS)
    result = evaluate(untrained, prepared, settings, seed=7)
    monkeypatch.setattr(evaluation, "CachedOutfitModel", AsServed)
    assert evaluate(untrained, prepared, settings, seed=7) == result


def test_answers_are_those_of_the_model_in_whatever_order_it_is_asked(untrained: Path, tables: OutfitTables) -> None:
    model = OutfitModel.load(untrained)
    outfits = [outfit.items for outfit in tables.outfits["test"]]
    targets = [list(Category)[number % 12] for number in range(len(outfits))]
    served = AsServed(model, tables.items)
    cached = CachedOutfitModel(model, tables.items)
    # The second half comes first, so that the rest is encoded later; then everything is known.
    for chosen in (slice(12, None), slice(0, 18), slice(None)):
        scores = cached.score(outfits[chosen])
        np.testing.assert_allclose(scores, served.score(outfits[chosen]), rtol=0, atol=1e-6)
        assert len({round(float(score), 5) for score in scores}) > len(scores) / 2
        for actual, expected in (
            (cached.queries(outfits[chosen], targets[chosen]), served.queries(outfits[chosen], targets[chosen])),
            (cached.embed(outfits[chosen][0]), served.embed(outfits[chosen][0])),
        ):
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)
    assert cached.embed([]).shape == (0, model.embedding_dim)
    assert cached.score([]).shape == (0,)


def test_images_are_closed(untrained: Path, tables: OutfitTables, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures: list[weakref.ref[Any]] = []

    def item(row: ItemRow, *, titles: bool = True) -> Item:
        opened = as_served(row, titles=titles)
        pictures.append(weakref.ref(opened.image))
        return opened

    monkeypatch.setattr(cached_model, "as_served", item)
    model = CachedOutfitModel(OutfitModel.load(untrained), tables.items)
    model.score([outfit.items for outfit in tables.outfits["test"]])
    gc.collect()
    assert len(pictures) > 2 * COUNTS["test"]
    assert not [picture for picture in pictures if picture() is not None]


def test_what_no_training_outfit_holds_has_a_metric_of_its_own(untrained: Path, prepared: Path) -> None:
    result = evaluate(untrained, prepared, quick_settings(max_questions=_QUESTIONS), seed=7)
    assert set(result.metrics) == set(SPEC.metrics)
    # Tops and bottoms have one outfit each, shoes are shared with the training outfits.
    assert result.metrics["unseen_questions"] == 2 * COUNTS["test"]
    assert result.metrics["fitb_unseen"] != pytest.approx(result.metrics["fitb"])
    slices = result.slices["category"].values()
    assert sum(slices) / len(slices) == pytest.approx(result.metrics["fitb_both"])
    # What was never worn was never worn together with anything.
    assert result.metrics["cooccurrence_fitb"] == pytest.approx(1 / 4)


def test_one_half_judges_and_the_other_is_reported(
    untrained: Path, prepared: Path, tables: OutfitTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick_settings(max_questions=_QUESTIONS)
    whole = evaluate(untrained, prepared, settings, seed=7)
    assert len(whole.judged.cases) == COUNTS["test"], "so few outfits are not parted"
    assert whole.judged.values["fitb"] == pytest.approx(whole.metrics["fitb"])
    monkeypatch.setattr(judged, "_MIN_HALF", 5)
    result = evaluate(untrained, prepared, settings, seed=7)
    judging = set(result.judged.cases)
    assert 5 <= len(judging) <= COUNTS["test"] - 5
    assert judging < {outfit.outfit_id for outfit in tables.outfits["test"]}
    assert result.n == 3 * (COUNTS["test"] - len(judging)), "three blanks an outfit"
    parts = result.n * result.metrics["fitb"] + 3 * len(judging) * result.judged.values["fitb"]
    assert parts == pytest.approx(whole.n * whole.metrics["fitb"])
    compared = controls(prepared, settings, seed=7)
    assert set(compared) == {"popularity", "word pairs"}
    for control in compared.values():
        assert control.cases == result.judged.cases
        assert {"fitb_both", "fitb_untitled", "fitb_random"} <= set(differences(result.judged, control, seed=7))


@pytest.mark.parametrize(("unseen", "reported"), [(20, True), (19, False), (0, False)])
def test_few_unseen_questions_make_no_metric(untrained: Path, own_data: Path, unseen: int, reported: bool) -> None:
    path = own_data / "outfits" / "train.jsonl"
    clothes = [f"{category}-test-{n}" for n in range(COUNTS["test"]) for category in ("tops", "bottoms")]
    known = clothes[unseen:]
    write_rows(path, read_rows(path) + [{"outfit_id": name, "group": name, "items": [name]} for name in known])
    metrics = evaluate(untrained, own_data, quick_settings(max_questions=_QUESTIONS), seed=7).metrics
    assert metrics["unseen_questions"] == unseen
    assert ("fitb_unseen" in metrics) is reported


def test_a_question_set_that_can_be_remembered_shows_it(untrained: Path, own_data: Path) -> None:
    folder = own_data / "outfits"
    worn = [row | {"outfit_id": f"again-{row['outfit_id']}"} for row in read_rows(folder / "test.jsonl")]
    write_rows(folder / "train.jsonl", read_rows(folder / "train.jsonl") + worn)
    metrics = evaluate(untrained, own_data, quick_settings(max_questions=_QUESTIONS), seed=7).metrics
    assert metrics["cooccurrence_fitb"] == 1
    assert metrics["popularity_fitb"] < 0.5
    # It knows words and no garment, so that it cannot remember.
    assert metrics["word_pairs_fitb"] < 0.5
    assert metrics["fitb_gain"] == pytest.approx(metrics["fitb"] - metrics["word_pairs_fitb"])


@pytest.mark.parametrize(("accelerator", "device"), [("gpu", "cuda:0"), ("auto", "cuda:0"), ("cpu", "cpu")])
def test_the_model_is_evaluated_where_the_settings_say(
    untrained: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch, accelerator: str, device: str
) -> None:
    devices: list[str] = []

    class Reached(Exception):  # noqa: N818 - not an error
        pass

    def load(_folder: Path, device: str = "cpu", **_options: Any) -> OutfitModel:
        devices.append(device)
        raise Reached

    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(OutfitModel, "load", load)
    with pytest.raises(Reached):
        evaluate(untrained, prepared, quick_settings(accelerator=accelerator), seed=7)
    assert devices == [device]


def test_training_reads_plots_and_evaluates_on_the_same_device(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another name for the CPU, so that what is left to the default shows.
    elsewhere = "cpu:0"
    placed: dict[str, str] = {}
    model_init, towers, network_init = OutfitModel.__init__, FrozenTowers.__init__, CachedNetwork.__init__

    def watched_model(self: OutfitModel, *parts: Any) -> None:
        placed["plots"] = parts[-1]
        model_init(self, *parts)

    def watched_towers(self: FrozenTowers, config: Any, device: str = "cpu", **options: Any) -> None:
        placed.setdefault("towers", device)
        towers(self, config, device, **options)

    def watched_network(self: CachedNetwork, *parts: Any) -> None:
        placed["metrics"] = str(parts[-1])
        network_init(self, *parts)

    monkeypatch.setattr(whole_training, "training_device", lambda _settings: elsewhere)
    monkeypatch.setattr(OutfitModel, "__init__", watched_model)
    monkeypatch.setattr(FrozenTowers, "__init__", watched_towers)
    monkeypatch.setattr(CachedNetwork, "__init__", watched_network)
    whole_training.train(quick_settings(max_epochs=1), make_context(tmp_path, prepared))
    assert placed == {"towers": elsewhere, "plots": elsewhere, "metrics": elsewhere}

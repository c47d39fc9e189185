"""The training as a whole: it learns the rule, resumes to the same weights, continues from a champion, shows its work."""

from __future__ import annotations

import csv
import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from aura.errors import ArtifactError, DataError
from aura.taxonomy import Category
from inference.outfits import artifact
from inference.outfits.items import Item
from inference.outfits.model import OutfitModel
from inference.outfits.network import OutfitNetwork
from inference.outfits.towers import FrozenTowers
from inference.references import DESCRIPTOR_REFERENCE
from tests.training.outfits.conftest import (
    COUNTS,
    make_context,
    outfit_of,
    quick_settings,
    read_rows,
    rows_of,
    write_rows,
)
from training.average import average
from training.average_record import recorded_average
from training.outfits.data import ItemTable, OutfitDataset
from training.outfits.evaluate import evaluate
from training.outfits.module import OutfitModule
from training.outfits.questions import make_question_set
from training.outfits.settings import OutfitsSettings
from training.outfits.spec import SPEC
from training.outfits.train import train
from training.trainer import resume_path

# Colours need a little more room than the rest of the tests.
LEARNING = quick_settings(
    network={
        "image_tower": DESCRIPTOR_REFERENCE, "image_dim": 32, "text_dim": 8, "layers": 1, "heads": 4,
        "feedforward_dim": 64, "embedding_dim": 16, "dropout": 0.0, "feature_dropout": 0.0,
    },
    max_epochs=70, learning_rate=3e-3, partial_probability=0.1, validate_every_epochs=10,
)  # fmt: skip


@pytest.fixture(scope="module")
def learned(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """One whole training, shared by the tests that look at its result."""
    folder = tmp_path_factory.mktemp("learned")
    return folder, train(LEARNING, make_context(folder, prepared))


@pytest.fixture(scope="module")
def fresh(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """Three epochs of a tiny network, without a champion."""
    folder = tmp_path_factory.mktemp("fresh")
    return folder, train(quick_settings(max_epochs=3), make_context(folder, prepared))


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "out" / "model.safetensors")


def _history(folder: Path) -> list[dict[str, str]]:
    with (folder / "plots" / "history.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def _validations(folder: Path) -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if name.startswith("val/")} for row in _history(folder)]


def _assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=0, msg=name)


def test_it_learns_which_colours_go_together(learned: tuple[Path, dict[str, float]]) -> None:
    _, metrics = learned
    # One wrong candidate in six has the right colour by chance, so that 0.9 is near the best possible.
    assert metrics["fitb"] > 0.7
    assert metrics["fitb_by_query"] > 0.65
    assert metrics["fitb_random"] > 0.7
    assert metrics["auc"] > 0.9
    # No title says a colour: the pictures were seen.
    assert metrics["fitb_untitled"] > 0.7


def test_metrics_are_shares(learned: tuple[Path, dict[str, float]], fresh: tuple[Path, dict[str, float]]) -> None:
    shown_both_ways = ("fitb", "fitb_by_query", "fitb_random", "auc")
    names = {"fitb_both", *shown_both_ways, *(f"{name}_untitled" for name in shown_both_ways)}
    for _, metrics in (learned, fresh):
        assert set(metrics) == names
        assert all(0 <= value <= 1 for value in metrics.values())
    assert fresh[1] != learned[1]


def test_the_artifact_serves_what_was_learned(learned: tuple[Path, dict[str, float]]) -> None:
    folder, _ = learned
    assert {path.name for path in (folder / "out").iterdir()} == {
        "model.safetensors", "config.json", "preprocess.json", "labels.json", "calibration.json", "vocabulary.json",
        "term_pairs.safetensors",
    }  # fmt: skip
    assert artifact.read_config(folder / "out") == LEARNING.network
    model = OutfitModel.load(folder / "out")

    def worn(colour: tuple[int, int, int], category: Category) -> Item:
        picture = Image.new("RGB", (30, 30), (255, 255, 255))
        picture.paste(colour, (4, 4, 26, 26))
        return Item("a", category, image=picture)

    red, blue = (205, 35, 40), (35, 60, 190)
    alike, other = model.score(
        [[worn(red, Category.TOPS), worn(red, Category.BOTTOMS), worn(shoes, Category.SHOES)] for shoes in (red, blue)]
    )
    assert alike > other + 0.02
    shoes = [worn(colour, Category.SHOES) for colour in ((40, 150, 60), blue, red)]
    assert model.rank([worn(red, Category.TOPS), worn(red, Category.BOTTOMS)], Category.SHOES, shoes)[0][0] == 2


def test_plots_show_the_training(learned: tuple[Path, dict[str, float]]) -> None:
    plots = learned[0] / "plots"
    assert sorted(path.name for path in plots.glob("*.png")) == [
        "blanks.png",
        "calibration.png",
        "curves.png",
        "outfits.png",
    ]
    for path in plots.glob("*.png"):
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 200
            assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 20
    rows = _history(learned[0])
    assert len(rows) == 7
    assert {"train/compatibility", "train/ranking", "val/compatibility", "val/fitb", "val/auc_untitled"} <= set(rows[0])
    assert float(rows[-1]["val/ranking"]) < 0.8 * float(rows[0]["val/ranking"])


def test_the_best_validation_is_what_is_kept(learned: tuple[Path, dict[str, float]]) -> None:
    folder, metrics = learned
    best = max(float(row["val/fitb_both"]) for row in _history(folder))
    assert metrics["fitb_both"] == pytest.approx(best, abs=1e-6)


def test_evaluation_gives_the_documented_metrics(
    learned: tuple[Path, dict[str, float]], fresh: tuple[Path, dict[str, float]], prepared: Path
) -> None:
    settings = LEARNING.model_copy(update={"max_questions": 2000})
    result = evaluate(learned[0] / "out", prepared, settings, seed=7)
    metrics = result.metrics
    assert set(metrics) == set(SPEC.metrics)
    assert result.n == 3 * COUNTS["test"]
    for suffix in ("", "_untitled"):
        gain = metrics[f"fitb{suffix}"] - metrics[f"word_pairs_fitb{suffix}"]
        assert metrics[f"fitb_gain{suffix}"] == pytest.approx(gain)
    shares = [name for name in metrics if not name.startswith(("unseen_questions", "one_category_odds", "fitb_gain"))]
    assert all(0 <= metrics[name] <= 1 for name in shares)
    # Three tops of a colour are no outfit, however well they match.
    assert metrics["one_category_odds"] < 0.5
    assert metrics["fitb"] > 0.7
    assert metrics["auc"] > 0.9
    # Shoes are worn unequally often, tops and bottoms of the test split never in training.
    assert 0.2 < metrics["popularity_fitb"] != 0.25
    assert metrics["recall_at_1"] <= metrics["recall_at_5"] <= metrics["recall_at_10"]
    assert set(result.slices["category"]) == {"tops", "bottoms", "shoes"}
    # Every category has as many questions, so that the slices' mean is the whole.
    assert sum(result.slices["category"].values()) / 3 == pytest.approx(metrics["fitb_both"])
    assert evaluate(learned[0] / "out", prepared, settings, seed=7) == result
    # The baselines answer by counting: another model meets the same questions and the same baselines.
    other = evaluate(fresh[0] / "out", prepared, settings, seed=7)
    for name in ("word_pairs_fitb", "popularity_fitb", "cooccurrence_fitb", "unseen_questions"):
        assert other.metrics[name] == metrics[name]
    assert other.metrics["fitb"] < metrics["fitb"]


def test_slices_of_few_questions_are_left_out(learned: tuple[Path, dict[str, float]], prepared: Path) -> None:
    result = evaluate(learned[0] / "out", prepared, LEARNING.model_copy(update={"max_questions": 30}), seed=7)
    assert result.n == 30
    assert result.slices == {"category": {}}


def test_a_split_too_small_to_ask_about_is_an_error(own_data: Path, fresh: tuple[Path, dict[str, float]]) -> None:
    for split in ("val", "test"):
        path = own_data / "outfits" / f"{split}.jsonl"
        write_rows(path, read_rows(path)[:3])
    with pytest.raises(DataError, match="3 test outfits give no fill-in-the-blank"):
        evaluate(fresh[0] / "out", own_data, quick_settings(), seed=1)
    with pytest.raises(DataError, match="3 validation outfits give no fill-in-the-blank"):
        train(quick_settings(), make_context(own_data / "run", own_data))


def test_a_broken_artifact_cannot_be_evaluated(tmp_path: Path, prepared: Path) -> None:
    with pytest.raises(ArtifactError, match=r"config\.json"):
        evaluate(tmp_path, prepared, quick_settings(), seed=1)


def test_a_killed_training_resumes_to_the_same_weights(
    fresh: tuple[Path, dict[str, float]], tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, broken = quick_settings(max_epochs=3), make_context(tmp_path / "broken", prepared)

    class Killed(BaseException):
        pass

    step = OutfitModule.training_step
    steps = 0

    def dying(self: OutfitModule, batch: object, batch_index: int) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == 7:
            raise Killed
        return step(self, batch, batch_index)

    monkeypatch.setattr(OutfitModule, "training_step", dying)
    with pytest.raises(Killed):
        train(settings, broken)
    assert steps == 7
    assert resume_path(broken) is not None
    assert not list(broken.out_dir.iterdir())
    resumed = train(settings, broken)
    # The second epoch starts again; the first is not repeated.
    assert steps == 7 + 8
    assert resumed == fresh[1]
    _assert_same(_weights(fresh[0]), _weights(tmp_path / "broken"))
    # The best epoch may be the first; the later ones validate like those of the unbroken training, to the last digit.
    validations = _validations(tmp_path / "broken")
    assert validations == _validations(fresh[0])
    assert len({row["val/loss"] for row in validations}) == 3
    # A third run writes the same artifact again.
    shutil.rmtree(broken.out_dir)
    broken.out_dir.mkdir()
    assert train(settings, broken) == fresh[1]
    _assert_same(_weights(fresh[0]), _weights(tmp_path / "broken"))


def test_the_champion_is_continued(learned: tuple[Path, dict[str, float]], tmp_path: Path, prepared: Path) -> None:
    gentle = LEARNING.model_copy(update={"learning_rate": 1e-9, "max_epochs": 1, "validate_every_epochs": 1})
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="training from scratch")
        metrics = train(gentle, make_context(tmp_path, prepared, base_dir=learned[0] / "out", seed=9))
    before, after = _weights(learned[0]), _weights(tmp_path)
    assert len(before) > 20
    for name in before:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6, msg=name)
    assert metrics["fitb"] > 0.65


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("architecture", "its architecture is"),
        ("a CNN of its own", "cnn_channels: unknown key"),
        ("no champion", r"config\.json"),
        ("weights", r"do not load.*outfit_token"),
    ],
)
def test_a_champion_that_does_not_fit_is_left_with_a_warning(
    learned: tuple[Path, dict[str, float]],
    fresh: tuple[Path, dict[str, float]],
    tmp_path: Path,
    prepared: Path,
    what: str,
    said: str,
) -> None:
    champion = tmp_path / "champion"
    if what == "architecture":
        shutil.copytree(learned[0] / "out", champion)
    elif what == "a CNN of its own":
        shutil.copytree(fresh[0] / "out", champion)
        config = json.loads((champion / "config.json").read_text())
        config["network"] |= {"image_tower": "cnn", "image_size_px": 64, "cnn_channels": [24, 48]}
        (champion / "config.json").write_text(json.dumps(config))
    elif what == "weights":
        shutil.copytree(fresh[0] / "out", champion)
        # Loading copies the tensors that fit before it refuses; none of them may stay.
        weights = {name: torch.full_like(value, 7) for name, value in _weights(fresh[0]).items()}
        save_file(weights | {"outfit_token": torch.zeros(3)}, champion / "model.safetensors")
    with pytest.warns(UserWarning, match=f"(?s)training from scratch, not from the champion.*{said}"):
        metrics = train(quick_settings(max_epochs=3), make_context(tmp_path / "run", prepared, base_dir=champion))
    assert metrics == fresh[1]
    _assert_same(_weights(fresh[0]), _weights(tmp_path / "run"))


def _module(towers: FrozenTowers, outfits: list[tuple[str, ...]]) -> tuple[OutfitModule, OutfitDataset]:
    rows = rows_of(tops=6, bags=6, hats=6)
    table = ItemTable.read(list(rows.values()), towers)
    listed = [outfit_of(*outfit) for outfit in outfits]
    torch.manual_seed(0)
    network = OutfitNetwork(quick_settings().network, towers.category_texts(), towers.image_features)
    question_set = make_question_set(rows, listed, seed=0, max_questions=10)
    module = OutfitModule(network, quick_settings(partial_probability=0.0), table, question_set, warm_started=False)
    module.log = module.log_dict = lambda *_, **__: None
    return module.train(), OutfitDataset(listed, table)


@pytest.mark.parametrize("outfits", [[("tops-0",)], [("tops-0",), ("bags-0",), ("tops-1",)], [("tops-0", "bags-0")]])
def test_a_batch_without_blanks_or_negatives_can_be_trained_on(
    towers: FrozenTowers, outfits: list[tuple[str, ...]]
) -> None:
    # The last batch of an epoch may hold a single outfit, and an outfit a single garment.
    module, dataset = _module(towers, outfits)
    batch = dataset.collate([dataset[place] for place in range(len(dataset))])
    loss = module.training_step(batch, 0)
    loss.backward()
    assert loss.isfinite()
    assert loss > 0
    gradients = [weight.grad for weight in module.parameters() if weight.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)
    module.validation_step(batch, 0)


def test_validation_draws_the_same_and_disturbs_nothing(towers: FrozenTowers) -> None:
    module, dataset = _module(towers, [(f"tops-{n}", f"bags-{n}", f"hats-{n}") for n in range(6)])
    batch = dataset.collate([dataset[place] for place in range(len(dataset))])
    module.eval()
    seen: list[dict[str, torch.Tensor]] = []
    module.log_dict = lambda values, **_: seen.append(values)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    module.validation_step(batch, 0)
    assert torch.equal(torch.rand(1), expected)
    module.validation_step(batch, 0)
    module.validation_step(batch, 1)
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]
    assert set(seen[0]) == {"val/loss", "val/compatibility", "val/ranking"}


def test_settings_need_two_outfits_to_a_batch() -> None:
    with pytest.raises(ValueError, match="batch_size"):
        OutfitsSettings(batch_size=1)


def test_the_candidate_is_the_average_that_validation_prefers(
    learned: tuple[Path, dict[str, float]], tmp_path: Path, own_data: Path
) -> None:
    """Nothing is chosen on the test split: it is empty."""
    (own_data / "outfits" / "test.jsonl").write_text("")
    base = learned[0] / "out"
    for name, shares in (("alone", ()), ("averaged", (0.25, 0.5))):
        settings = LEARNING.model_copy(
            update={"max_epochs": 2, "validate_every_epochs": 1, "average_with_champion": shares}
        )
        metrics = train(settings, make_context(tmp_path / name, own_data, base_dir=base))
    assert recorded_average(tmp_path / "alone" / "out") is None
    record = recorded_average(tmp_path / "averaged" / "out")
    assert record is not None
    assert set(record.validation) == {"0.25", "0.5", "1"}
    assert record.validation[f"{record.alpha:g}"] == max(record.validation.values()) == metrics["fitb_both"]
    expected = average(_weights(learned[0]), _weights(tmp_path / "alone"), record.alpha)
    for name, tensor in _weights(tmp_path / "averaged").items():
        torch.testing.assert_close(tensor, expected[name], msg=name)

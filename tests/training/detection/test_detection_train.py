"""The training as a whole: it learns, resumes to the same weights, continues from a champion, and explains itself."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import PreTrainedModel

from aura.artifact import read_json
from aura.errors import DataError, SettingsError
from aura.taxonomy import CATEGORIES, Category
from aura.tracking import TrackingSettings
from inference.detection.artifact import LabelRules, save_artifact
from inference.detection.detector import Detector
from inference.detection.preprocess import Preprocess
from tests.inference.detection.conftest import TUNED, build
from tests.training.detection.conftest import make_context
from training import judged
from training.average import average
from training.average_record import recorded_average
from training.context import TrainContext
from training.detection import train as detection_train
from training.detection.data import DetectionData
from training.detection.evaluate import controls, evaluate
from training.detection.module import DetectionModule
from training.detection.settings import DetectionSettings
from training.detection.spec import SPEC
from training.detection.train import train
from training.detection.warm_start import initial_model
from training.evaluate import compare
from training.settings import RunSettings
from training.train import Folders, run


def _labels(model: PreTrainedModel) -> tuple[Category, ...]:
    return tuple(Category(model.config.id2label[index]) for index in range(model.config.num_labels))


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "out" / "model.safetensors")


def test_overfits_one_batch(quick: DetectionSettings, shapes_dir: Path) -> None:
    torch.manual_seed(0)
    still = quick.augment.model_copy(
        update={"mirror": 0.0, "zoom_in": 0.0, "zoom_out": 0.0, "stretch": 0.0, "brightness": 0.0, "hue_degrees": 0.0}
    )
    preprocess = Preprocess(height=96, width=64, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    data = DetectionData(shapes_dir, preprocess, still, batch_size=4, num_workers=0, seed=1, cache=True)
    initial = initial_model(quick, data.labels, None)
    module = DetectionModule(initial.model, data.labels, preprocess, quick)
    module.log = module.log_dict = lambda *_, **__: None
    batch = next(iter(data.train_dataloader()))
    optimizer = torch.optim.AdamW(module.parameters(), lr=2e-3)
    losses = []
    for step in range(150):
        loss = module.training_step(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.35 * losses[0]
    rules = LabelRules(labels=_labels(initial.model), thresholds=(0.3,) * 12, nms_iou=None)
    found = Detector(initial.model, preprocess, rules).predict([Image.open(photo.path) for photo in batch.photos])
    seen = {detection.category.value for photo in found for detection in photo}
    assert seen == {"tops", "shoes", "bags"}


def test_a_training_writes_artifact_plots_and_metrics(
    quick: DetectionSettings, context: TrainContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = train(quick, context)
    assert set(metrics) == {"ap50", "ap", "precision_served", "recall_served"}
    assert {path.name for path in context.out_dir.iterdir()} == {
        "model.safetensors", "config.json", "preprocess.json", "labels.json", "openvino",
    }  # fmt: skip
    plots = sorted(path.name for path in context.plots_dir.glob("*.png"))
    assert plots == ["ap50_per_category.png", "boxes.png", "curves.png"]
    for name in plots:
        with Image.open(context.plots_dir / name) as picture:
            assert min(picture.size) > 200
            assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 20
    with (context.plots_dir / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2
    assert {"train/loss", "train/loss_giou", "val/ap50", "val/ap50_shoes"} <= set(rows[0])

    result = evaluate(context.out_dir, context.data_dir, quick, seed=1)
    assert result.n == 6
    assert set(result.metrics) == set(SPEC.metrics)
    assert set(result.slices["category"]) == {"tops", "shoes", "bags"}
    assert result.slices["photo type"] == {"photo": result.metrics["ap50"]}
    assert result.slice_sizes["photo type"] == {"photo": 6}
    assert result.metrics["ap50"] == pytest.approx(sum(result.slices["category"].values()) / 3)
    assert evaluate(context.out_dir, context.data_dir, quick, seed=2) == result
    # Six photos are not parted, and no category has 20 boxes: judged by all of them.
    assert (result.judged.unit, len(result.judged.cases)) == ("photos", 6)
    assert result.judged.values["ap50"] == pytest.approx(result.metrics["ap50"], abs=2e-3)
    assert controls(context.data_dir)["typical boxes"].cases == result.judged.cases
    monkeypatch.setattr(judged, "_MIN_HALF", 2)
    parted = evaluate(context.out_dir, context.data_dir, quick, seed=2)
    assert parted.n + len(parted.judged.cases) == 6
    assert 2 <= parted.n <= 4
    assert controls(context.data_dir)["typical boxes"].cases == parted.judged.cases


def test_a_killed_training_resumes_to_the_same_weights(
    quick: DetectionSettings, tmp_path: Path, shapes_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = quick.model_copy(update={"max_epochs": 3})
    whole = train(settings, make_context(tmp_path / "whole", shapes_dir))

    class Killed(BaseException):
        pass

    step = DetectionModule.training_step
    steps = 0

    def dying(self: DetectionModule, batch: object, batch_idx: int) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == 7:
            raise Killed
        return step(self, batch, batch_idx)

    monkeypatch.setattr(DetectionModule, "training_step", dying)
    with pytest.raises(Killed):
        train(settings, make_context(tmp_path / "broken", shapes_dir))
    assert steps == 7
    resumed = train(settings, make_context(tmp_path / "broken", shapes_dir))
    assert steps == 7 + 8
    assert resumed == whole
    expected, got = _weights(tmp_path / "whole"), _weights(tmp_path / "broken")
    assert expected.keys() == got.keys()
    for name in expected:
        torch.testing.assert_close(got[name], expected[name], rtol=0, atol=0, msg=name)


def test_the_champion_is_continued(
    quick: DetectionSettings, tmp_path: Path, shapes_dir: Path, recwarn: pytest.WarningsRecorder
) -> None:
    train(quick, make_context(tmp_path / "first", shapes_dir))
    gentle = quick.model_copy(update={"learning_rate": 1e-9, "max_epochs": 1, "ema_decay": 0.0})
    train(gentle, make_context(tmp_path / "second", shapes_dir, base_dir=tmp_path / "first" / "out", seed=9))
    before, after = _weights(tmp_path / "first"), _weights(tmp_path / "second")
    trained = [name for name in before if "running_" not in name and "num_batches" not in name]
    for name in trained:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6, msg=name)
    assert not [warning for warning in recwarn if "profile's base" in str(warning.message)]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"image_height": 64}, "preprocess"),
        ({"tiny": {"hidden_size": 48}}, "d_model"),
        ({"tiny": {"queries": 5}}, "num_queries"),
    ],
)
def test_a_champion_that_does_not_fit_is_left_with_a_warning(
    quick: DetectionSettings, tmp_path: Path, change: dict[str, object], named: str
) -> None:
    full = tuple(category.value for category in CATEGORIES)
    initial = initial_model(quick, full, None)
    rules = LabelRules(labels=_labels(initial.model), thresholds=(0.5,) * 12, nms_iou=None)
    save_artifact(tmp_path, initial.model, initial.preprocess, rules)
    assert initial_model(quick, full, tmp_path).warm_started
    changed = DetectionSettings.model_validate(quick.model_dump() | change)
    with pytest.warns(UserWarning, match=named):
        again = initial_model(changed, full, tmp_path)
    assert not again.warm_started
    with pytest.warns(UserWarning, match="id2label"):
        assert not initial_model(quick, ("tops", "shoes"), tmp_path).warm_started


def test_a_broken_champion_is_left_with_a_warning(quick: DetectionSettings, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="cannot continue"):
        assert not initial_model(quick, ("tops",), tmp_path / "nothing").warm_started


@pytest.mark.parametrize("family", TUNED)
def test_a_pretrained_family_is_fine_tuned_and_served(
    quick: DetectionSettings, tmp_path: Path, shapes_dir: Path, family: str
) -> None:
    build(family).save_pretrained(tmp_path / "hub")
    (tmp_path / "hub" / "preprocessor_config.json").write_text('{"do_normalize": false}')
    settings = quick.model_copy(
        update={"base": str(tmp_path / "hub"), "max_epochs": 1, "backbone_rate": 0.1, "nms_iou": None}
    )
    context = make_context(tmp_path / "run", shapes_dir)
    train(settings, context)
    detector = Detector.load(context.out_dir)
    assert detector.preprocess.mean == (0.0, 0.0, 0.0)
    assert len(detector.predict([Image.new("RGB", (50, 80))], threshold=0.0)[0]) == 8
    champion = make_context(tmp_path / "next", shapes_dir, base_dir=context.out_dir)
    assert initial_model(
        settings, tuple(label.value for label in detector.rules.labels), champion.base_dir
    ).warm_started


def test_a_champion_saved_without_losses_per_layer_is_continued_with_them(
    quick: DetectionSettings, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    full = tuple(category.value for category in CATEGORIES)
    build("detr").save_pretrained(tmp_path / "hub")
    (tmp_path / "hub" / "preprocessor_config.json").write_text('{"do_normalize": false}')
    settings = quick.model_copy(update={"base": str(tmp_path / "hub")})
    initial = initial_model(settings, full, None)
    initial.model.config.auxiliary_loss = False
    (tmp_path / "champion").mkdir()
    rules = LabelRules(labels=_labels(initial.model), thresholds=(0.5,) * 12, nms_iou=None)
    save_artifact(tmp_path / "champion", initial.model, initial.preprocess, rules)
    continued = initial_model(settings, full, tmp_path / "champion")
    assert continued.warm_started, [str(warning.message) for warning in recwarn]
    target = {"class_labels": torch.tensor([1]), "boxes": torch.tensor([[0.5, 0.5, 0.3, 0.3]])}
    assert "loss_giou_0" in continued.model(pixel_values=torch.randn(2, 3, 96, 64), labels=[target] * 2).loss_dict


def test_an_unknown_base_is_named(quick: DetectionSettings, context: TrainContext) -> None:
    with pytest.raises(SettingsError, match="no/such-model"):
        train(quick.model_copy(update={"base": "no/such-model"}), context)


def test_a_detector_of_other_categories_cannot_be_evaluated(
    quick: DetectionSettings, tmp_path: Path, shapes_dir: Path
) -> None:
    initial = initial_model(quick, ("tops", "shoes"), None)
    rules = LabelRules(labels=_labels(initial.model), thresholds=(0.5, 0.5), nms_iou=None)
    save_artifact(tmp_path, initial.model, initial.preprocess, rules)
    with pytest.raises(DataError, match="categories"):
        evaluate(tmp_path, shapes_dir, quick, seed=1)


def test_the_candidate_is_the_average_that_validation_prefers(
    quick: DetectionSettings, tmp_path: Path, shapes_dir: Path
) -> None:
    """Nothing is chosen on the test split: there is none."""
    data = Path(shutil.copytree(shapes_dir, tmp_path / "data"))
    (data / "detection" / "test.json").unlink()
    train(quick.model_copy(update={"max_epochs": 8}), make_context(tmp_path / "champion", data))
    assert recorded_average(tmp_path / "champion" / "out") is None, "there was nothing to average with"
    base = tmp_path / "champion" / "out"
    for name, shares in (("alone", ()), ("averaged", (0.25, 0.5))):
        settings = quick.model_copy(update={"average_with_champion": shares})
        metrics = train(settings, make_context(tmp_path / name, data, base_dir=base))
    assert recorded_average(tmp_path / "alone" / "out") is None
    record = recorded_average(tmp_path / "averaged" / "out")
    assert record is not None
    assert set(record.validation) == {"0.25", "0.5", "1"}
    assert record.validation[f"{record.alpha:g}"] == max(record.validation.values()) == metrics["ap50"]
    expected = average(_weights(tmp_path / "champion"), _weights(tmp_path / "alone"), record.alpha)
    for name, tensor in _weights(tmp_path / "averaged").items():
        torch.testing.assert_close(tensor, expected[name], msg=name)


def test_the_night_after_sees_other_views_and_a_repeated_one_the_same(
    quick: DetectionSettings, tmp_path: Path, shapes_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []

    class Watched(DetectionData):
        def __init__(self, *arguments: object, **named: object) -> None:
            super().__init__(*arguments, **named)
            seen.append(next(iter(self.train_dataloader())).canvases)

    monkeypatch.setattr(detection_train, "DetectionData", Watched)
    common, settings = RunSettings(tracking=TrackingSettings(enabled=False)), quick.model_copy(update={"max_epochs": 1})
    for name, base in (("first", None), ("second", tmp_path / "first"), ("first-again", None)):
        folders = Folders(
            data=shapes_dir, base=base, out=tmp_path / name, checkpoints=tmp_path / f"{name}.checkpoints",
            plots=tmp_path / f"{name}.pictures",
        )  # fmt: skip
        run(SPEC, settings, common, folders, {})
    first, second, again = seen
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_lineage_card_and_comparison_name_the_average(
    quick: DetectionSettings, tmp_path: Path, shapes_dir: Path
) -> None:
    common = RunSettings(tracking=TrackingSettings(enabled=False))
    for name, base in (("first", None), ("second", tmp_path / "first")):
        folders = Folders(
            data=shapes_dir, base=base, out=tmp_path / name, checkpoints=tmp_path / f"{name}.checkpoints",
            plots=tmp_path / f"{name}.pictures",
        )  # fmt: skip
        run(SPEC, quick, common, folders, {})
    record = recorded_average(tmp_path / "second")
    assert record is not None
    assert "champion_share" not in read_json(tmp_path / "first" / "lineage.json", "the lineage")
    assert read_json(tmp_path / "second" / "lineage.json", "the lineage")["champion_share"] == 1 - record.alpha
    assert str(record) in (tmp_path / "second" / "card.md").read_text()
    assert "Averages" not in (tmp_path / "first" / "card.md").read_text()
    compared = compare(
        SPEC, quick, challenger=tmp_path / "second", champion=tmp_path / "first", data=shapes_dir, seed=7
    )
    assert compared["average"] == record.as_dict()
    assert set(compared["judging"]["controls"]) == {"typical boxes"}

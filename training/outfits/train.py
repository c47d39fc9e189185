"""Train the outfit model and write its artifact: called by `training.train` and by tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from aura.errors import DataError
from inference.outfits import artifact
from inference.outfits.calibration import Calibration, Weights
from inference.outfits.model import OutfitModel
from inference.outfits.network import OutfitNetwork
from inference.outfits.towers import FrozenTowers
from training.average import State, best_average, copy_of
from training.context import TrainContext
from training.device import training_device
from training.outfits import calibrate
from training.outfits.cached_model import CachedOutfitModel
from training.outfits.corruptions import CORRUPTIONS, part_of
from training.outfits.data import ItemTable, OutfitsData, OutfitTables, read_tables, with_saved
from training.outfits.module import MONITOR, OutfitModule
from training.outfits.plots import draw_all
from training.outfits.questions import CANDIDATES, QuestionSet, make_question_set
from training.outfits.settings import OutfitsSettings
from training.outfits.term_counts import count_terms
from training.outfits.warm_start import load_champion
from training.trainer import best_checkpoint, build_trainer, resume_path

_DRAWS = 5
"""Of corrupted outfits for each true one of validation: a hundred true outfits leave much to the luck of a single draw."""


def train(settings: OutfitsSettings, context: TrainContext) -> dict[str, float]:
    """Train (or resume), write the best checkpoint's artifact into `context.out_dir` and plots beside it.

    Returns:
        Validation metrics of the best checkpoint.

    Raises:
        DataError: the prepared outfits are missing, broken, or too few to validate on.
        ArtifactError: a frozen tower cannot be loaded.
    """
    prepared = read_tables(context.data_dir)
    # Apart: what is asked, counted for the artifact or drawn in a plot holds no garment of a person's.
    tables = with_saved(prepared, context.saved_dir)
    question_set = _validation_questions(prepared, settings, context.seed)
    # The frozen towers run once, before Lightning moves anything; what is evaluated afterwards stays on the same device.
    device = training_device(settings)
    towers = FrozenTowers(settings.network, device, remember=True)
    items = [tables.items[item] for item in tables.used_in("train", "val")]
    table = ItemTable.read(items, towers)
    # Seeds, so before the weights are drawn.
    trainer = build_trainer(settings, context, monitor=MONITOR, mode="max")
    network = OutfitNetwork(settings.network, towers.category_texts(), towers.image_features)
    warm_started = load_champion(network, context.base_dir)
    if not warm_started:
        network.standardise(table.tensors.image[table.tensors.has_image])
    champion = copy_of(network) if warm_started and settings.average_with_champion else None
    module = OutfitModule(network, settings, table.only(tables.used_in("val")), question_set, warm_started=warm_started)
    trainer.fit(module, datamodule=OutfitsData(settings, tables, table, context.seed), ckpt_path=resume_path(context))
    best = torch.load(best_checkpoint(trainer), map_location="cpu", weights_only=True)
    module.load_state_dict(best["state_dict"])
    # Lightning takes it back to the CPU at the end.
    module.to(torch.device(device))
    if champion is not None:
        _average(module, champion, settings, context)
    terms = count_terms(prepared)
    more = (_validation_questions(prepared, settings, context.seed + draw) for draw in range(1, _DRAWS))
    calibration = _calibrated(
        OutfitModel(network, towers, terms, Calibration(), device), prepared, [question_set, *more]
    )
    artifact.save(network, terms, calibration, context.out_dir)
    draw_all(context.plots_dir, OutfitModel(network, towers, terms, calibration, device), prepared.items, question_set)
    return module.question_metrics()


def _calibrated(model: OutfitModel, tables: OutfitTables, draws: Sequence[QuestionSet]) -> Calibration:
    """Fitted on validation outfits, with titles and without."""
    titled, untitled = (
        _weights(CachedOutfitModel(model, tables.items, titles=titles), draws) for titles in (True, False)
    )
    return Calibration(titled=titled, untitled=untitled)


def _weights(model: CachedOutfitModel, draws: Sequence[QuestionSet]) -> Weights:
    """Evidence is weighed by the questions of the first draw, and calibrated on the outfits of all of them, whole and in part."""
    questions = [question for kind in draws[0].fitb.values() for question in kind]
    choices = model.evidence([outfit for question in questions for outfit in question.completed()])
    pairs = [question_set.against(*CORRUPTIONS) for question_set in draws]
    whole = [outfit for drawn, _ in pairs for outfit in drawn]
    true = [worn for _, drawn in pairs for worn in drawn]
    rng = np.random.default_rng(len(whole))
    outfits = [*whole, *(part_of(outfit, rng) for outfit in whole)]
    return calibrate.fit(
        choices.reshape(len(questions), CANDIDATES, -1), [question.answer for question in questions],
        model.evidence(outfits), true * 2, [len(outfit) for outfit in outfits],
    )  # fmt: skip


def _average(module: OutfitModule, champion: State, settings: OutfitsSettings, context: TrainContext) -> None:
    """Put the best average of the network and the champion into the module."""

    def fitb_both(state: State) -> float:
        module.network.load_state_dict(state)
        return module.question_metrics()["fitb_both"]

    best = best_average(
        champion, copy_of(module.network), settings.average_with_champion, metric="fitb_both", validate=fitb_both,
        out_dir=context.out_dir,
    )  # fmt: skip
    module.network.load_state_dict(best)


def _validation_questions(tables: OutfitTables, settings: OutfitsSettings, seed: int) -> QuestionSet:
    question_set = make_question_set(
        tables.items, tables.outfits["val"], seed=seed, max_questions=settings.max_questions
    )
    if not question_set.fitb["same_category"]:
        raise DataError(
            f"{len(tables.outfits['val'])} validation outfits give no fill-in-the-blank question",
            hint="add outfits, or change the split fractions",
        )
    return question_set

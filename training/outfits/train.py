"""Train the outfit model and write its artifact: called by `training.train` and by tests."""

from __future__ import annotations

import torch

from aura.errors import DataError
from inference.outfits import artifact
from inference.outfits.model import OutfitModel
from inference.outfits.network import OutfitNetwork
from inference.outfits.towers import FrozenTowers
from training.average import State, best_average, copy_of
from training.context import TrainContext
from training.device import training_device
from training.outfits.baselines import Cooccurrence, Popularity
from training.outfits.data import ItemTable, OutfitsData, OutfitTables, read_tables
from training.outfits.module import MONITOR, OutfitModule
from training.outfits.plots import draw_all
from training.outfits.questions import QuestionSet, make_question_set
from training.outfits.settings import OutfitsSettings
from training.outfits.warm_start import load_champion
from training.trainer import best_checkpoint, build_trainer, resume_path


def train(settings: OutfitsSettings, context: TrainContext) -> dict[str, float]:
    """Train (or resume), write the best checkpoint's artifact into `context.out_dir` and plots beside it.

    Returns:
        Validation metrics of the best checkpoint, with those of `training.outfits.baselines` on the same questions.

    Raises:
        DataError: the prepared outfits are missing, broken, or too few to validate on.
        ArtifactError: a frozen tower cannot be loaded.
    """
    tables = read_tables(context.data_dir)
    question_set = _validation_questions(tables, settings, context.seed)
    # The frozen towers run once, before Lightning moves anything; what is evaluated afterwards stays on the same device.
    device = training_device(settings)
    towers = FrozenTowers(settings.network, device)
    items = [tables.items[item] for item in tables.used_in("train", "val")]
    table = ItemTable.read(items, towers)
    # Seeds, so before the weights are drawn.
    trainer = build_trainer(settings, context, monitor=MONITOR, mode="max")
    network = OutfitNetwork(settings.network, towers.category_texts(), towers.image_features)
    warm_started = load_champion(network, context.base_dir)
    champion = copy_of(network) if warm_started and settings.average_with_champion else None
    module = OutfitModule(network, settings, table.only(tables.used_in("val")), question_set, warm_started=warm_started)
    trainer.fit(module, datamodule=OutfitsData(settings, tables, table, context.seed), ckpt_path=resume_path(context))
    best = torch.load(best_checkpoint(trainer), map_location="cpu", weights_only=True)
    module.load_state_dict(best["state_dict"])
    # Lightning takes it back to the CPU at the end.
    module.to(torch.device(device))
    if champion is not None:
        _average(module, champion, settings, context)
    artifact.save(network, context.out_dir)
    draw_all(context.plots_dir, OutfitModel.load(context.out_dir, device), tables.items, question_set)
    return _metrics(module, question_set, tables)


def _average(module: OutfitModule, champion: State, settings: OutfitsSettings, context: TrainContext) -> None:
    """Put the best average of the network and the champion into the module."""

    def fitb(state: State) -> float:
        module.network.load_state_dict(state)
        return module.question_metrics()["fitb"]

    best = best_average(
        champion, copy_of(module.network), settings.average_with_champion, metric="fitb", validate=fitb,
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


def _metrics(module: OutfitModule, question_set: QuestionSet, tables: OutfitTables) -> dict[str, float]:
    worn = tables.outfits["train"]
    baselines = {"popularity": Popularity(tables.items, worn), "cooccurrence": Cooccurrence(tables.items, worn)}
    return module.question_metrics() | {
        f"{name}_fitb_{kind}": baseline.accuracy(questions)
        for name, baseline in baselines.items()
        for kind, questions in question_set.fitb.items()
    }

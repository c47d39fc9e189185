"""Train the outfit model and write its artifact: called by `training.train` and by tests."""

from __future__ import annotations

import warnings

import torch

from aura.errors import ArtifactError, DataError
from inference.outfits import artifact
from inference.outfits.model import OutfitModel
from inference.outfits.network import OutfitNetwork
from inference.outfits.towers import FrozenTowers
from training.context import TrainContext
from training.device import training_device
from training.fit import best_checkpoint, build_trainer, resume_path
from training.outfits.controls import Cooccurrence, Popularity
from training.outfits.data import ItemTable, OutfitsData, OutfitTables, read_tables
from training.outfits.exam import Exam, make_exam
from training.outfits.module import MONITOR, OutfitModule
from training.outfits.pictures import draw_all
from training.outfits.settings import OutfitsSettings


def train(settings: OutfitsSettings, context: TrainContext) -> dict[str, float]:
    """Train (or resume), write the best checkpoint's artifact into `context.out_dir` and pictures beside it.

    Returns:
        Validation figures of the best checkpoint, with those of `training.outfits.controls` on the same questions.

    Raises:
        DataError: the prepared outfits are missing, broken, or too few to validate on.
        ArtifactError: a frozen tower cannot be loaded.
    """
    tables = read_tables(context.data_dir)
    exam = _validation_exam(tables, settings, context.seed)
    # The frozen towers run once, before Lightning moves anything; what is examined afterwards lies where it trained.
    device = training_device(settings)
    towers = FrozenTowers(settings.network, device)
    items = [tables.items[item] for item in tables.used_in("train", "val")]
    table = ItemTable.read(items, towers)
    # Seeds, so before the weights are drawn.
    trainer = build_trainer(settings, context, monitor=MONITOR, mode="max")
    network = OutfitNetwork(settings.network, towers.category_texts(), towers.image_features)
    fine_tuned = _start_from_champion(network, context)
    module = OutfitModule(network, settings, table.only(tables.used_in("val")), exam, fine_tuned=fine_tuned)
    trainer.fit(module, datamodule=OutfitsData(settings, tables, table, context.seed), ckpt_path=resume_path(context))
    best = torch.load(best_checkpoint(trainer), map_location="cpu", weights_only=True)
    module.load_state_dict(best["state_dict"])
    # Lightning takes it back to the CPU at the end.
    module.to(torch.device(device))
    artifact.save(network, context.out_dir)
    draw_all(context.pictures_dir, OutfitModel.load(context.out_dir, device), tables.items, exam)
    return _figures(module, exam, tables)


def _validation_exam(tables: OutfitTables, settings: OutfitsSettings, seed: int) -> Exam:
    exam = make_exam(tables.items, tables.outfits["val"], seed=seed, most_questions=settings.exam_questions)
    if not exam.fitb["same_category"]:
        raise DataError(
            f"{len(tables.outfits['val'])} validation outfits give no fill-in-the-blank question",
            hint="add outfits, or change the split fractions",
        )
    return exam


def _start_from_champion(network: OutfitNetwork, context: TrainContext) -> bool:
    """Load the champion's weights if its architecture is the one asked for; whether that happened."""
    if context.base_dir is None:
        return False
    drawn = {name: weight.clone() for name, weight in network.state_dict().items()}
    try:
        base = artifact.read_config(context.base_dir)
        if base != network.config:
            raise ArtifactError(f"its architecture is {base}, the settings ask for {network.config}")
        artifact.load_weights(network, context.base_dir)
    except ArtifactError as error:
        # Loading may have got halfway.
        network.load_state_dict(drawn)
        warnings.warn(
            f"training from scratch, not from the champion in {context.base_dir}: {error.message}", stacklevel=2
        )
        return False
    return True


def _figures(module: OutfitModule, exam: Exam, tables: OutfitTables) -> dict[str, float]:
    worn = tables.outfits["train"]
    controls = {"popularity": Popularity(tables.items, worn), "cooccurrence": Cooccurrence(tables.items, worn)}
    return module.examine() | {
        f"{name}_fitb_{kind}": control.accuracy(questions)
        for name, control in controls.items()
        for kind, questions in exam.fitb.items()
    }

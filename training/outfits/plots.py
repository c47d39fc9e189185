"""Plots of a training: blanks as the model fills them, true outfits beside corrupted ones, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from aura.prepared_rows import ItemRow
from inference.image_encoder import WHITE, square
from inference.outfits.model import OutfitModel
from training.curves import Panel, draw_curves
from training.outfits.data import open_item
from training.outfits.evaluate import CachedOutfitModel
from training.outfits.questions import CANDIDATES, Question, QuestionSet

_DPI = 110
_SHOWN = 6
_TILE_PX = 160
_SHOWN_GARMENTS = 5
"""Garments of the outfit that a row shows; further ones are counted."""
Case = TypeVar("Case")
_RIGHT, _WRONG, _QUIET = "#117733", "#cc3311", "#bbbbbb"

_CURVES = (
    Panel("loss", ("train/focal", "val/focal", "train/ranking", "val/ranking"), logarithmic=True),
    Panel("validation (guessing: FITB 0.25, AUC 0.5)", ("val/fitb", "val/fitb_by_query", "val/fitb_random", "val/auc")),
)


def draw_all(folder: Path, model: OutfitModel, rows: Mapping[str, ItemRow], question_set: QuestionSet) -> None:
    """Write `blanks.png`, `outfits.png` and, where `history.csv` lies in the folder, `curves.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    cached = CachedOutfitModel(model, rows)
    draw_blanks(folder / "blanks.png", cached, rows, question_set.fitb["same_category"])
    draw_outfits(folder / "outfits.png", cached, rows, question_set)
    if (folder / "history.csv").is_file():
        draw_curves(folder / "curves.png", folder / "history.csv", _CURVES)


def draw_blanks(
    path: Path, model: CachedOutfitModel, rows: Mapping[str, ItemRow], questions: Sequence[Question]
) -> None:
    """One question per row: the outfit, then the candidates with the model's probabilities; its choice is framed."""
    chosen = _spread(questions)
    columns = _SHOWN_GARMENTS + CANDIDATES
    figure = Figure(figsize=(columns * 1.45, len(chosen) * 1.75 + 0.3), layout="constrained")
    grid = np.atleast_2d(figure.subplots(len(chosen), columns, squeeze=False))
    for axes, question in zip(grid, chosen, strict=True):
        scores = model.score(question.completed())
        best = int(scores.argmax())
        _draw_outfit(axes[:_SHOWN_GARMENTS], rows, question.context)
        for index, (axis, item) in enumerate(zip(axes[_SHOWN_GARMENTS:], question.candidates, strict=True)):
            true = index == question.answer
            _draw_item(axis, rows[item], f"{scores[index]:.2f}" + (" true" if true else ""), bold=true)
            if index == best:
                _frame(axis, _RIGHT if true else _WRONG)
    figure.suptitle("Outfit, then four candidates for the missing garment; framed: the model's choice", fontsize=10)
    _save(figure, path)


def draw_outfits(path: Path, model: CachedOutfitModel, rows: Mapping[str, ItemRow], question_set: QuestionSet) -> None:
    """One pair per row: a true outfit left, the same categories filled at random right, with the model's scores."""
    pairs = _spread(list(zip(question_set.true_outfits, question_set.corrupted_outfits, strict=True)))
    if not pairs:
        return
    figure = Figure(figsize=(2 * _SHOWN_GARMENTS * 1.3, len(pairs) * 1.75 + 0.3), layout="constrained")
    grid = figure.subplots(len(pairs), 2 * _SHOWN_GARMENTS, squeeze=False)
    for axes, (true, corrupted) in zip(grid, pairs, strict=True):
        scores = model.score([true, corrupted])
        _draw_outfit(axes[:_SHOWN_GARMENTS], rows, true, f"true: {scores[0]:.2f}")
        _draw_outfit(axes[_SHOWN_GARMENTS:], rows, corrupted, f"random: {scores[1]:.2f}")
    figure.suptitle("Outfits as they were worn, and beside them random garments of the same categories", fontsize=10)
    _save(figure, path)


def _spread(cases: Sequence[Case]) -> list[Case]:
    """A few cases from all over the list: neighbours are blanks of one outfit."""
    return list(cases[:: max(1, len(cases) // _SHOWN)][:_SHOWN])


def _draw_outfit(axes: Any, rows: Mapping[str, ItemRow], items: Sequence[str], title: str = "") -> None:
    shown = items[: len(axes)]
    for index, axis in enumerate(axes):
        if index >= len(shown):
            axis.set_axis_off()
            continue
        more = len(items) - len(shown) if index == len(axes) - 1 else 0
        label = title if title and index == 0 else rows[shown[index]].category.value
        _draw_item(axis, rows[shown[index]], f"{label} +{more}" if more else label, bold=bool(title) and index == 0)


def _draw_item(axis: Any, row: ItemRow, title: str, *, bold: bool = False) -> None:
    picture = open_item(row).image
    axis.imshow(square(picture, _TILE_PX) if picture else Image.new("RGB", (_TILE_PX, _TILE_PX), WHITE))
    axis.set_title(title, fontsize=8, fontweight="bold" if bold else "normal", color="#333333")
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_color(_QUIET)
        spine.set_linewidth(0.5)


def _frame(axis: Any, colour: str) -> None:
    axis.add_patch(Rectangle((0, 0), 1, 1, transform=axis.transAxes, fill=False, edgecolor=colour, linewidth=5))


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI, facecolor="white")

"""Plots of a training: blanks as the model fills them, true outfits beside corrupted ones, calibration, curves."""

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
from training.outfits.cached_model import CachedOutfitModel
from training.outfits.corruptions import CORRUPTIONS
from training.outfits.data import as_served
from training.outfits.metrics import BINS, calibration_error
from training.outfits.questions import CANDIDATES, Question, QuestionSet

_DPI = 110
_SHOWN = 6
_TILE_PX = 160
_SHOWN_GARMENTS = 5
"""Garments of the outfit that a row shows; further ones are counted."""
Case = TypeVar("Case")
_RIGHT, _WRONG, _QUIET = "#117733", "#cc3311", "#bbbbbb"

_CURVES = (
    Panel("loss", ("train/compatibility", "val/compatibility", "train/ranking", "val/ranking"), logarithmic=True),
    Panel(
        "with titles (guessing: FITB 0.25, AUC 0.5)", ("val/fitb", "val/fitb_by_query", "val/fitb_random", "val/auc")
    ),
    Panel(
        "without titles",
        ("val/fitb_untitled", "val/fitb_by_query_untitled", "val/fitb_random_untitled", "val/auc_untitled"),
    ),
)


def draw_all(folder: Path, model: OutfitModel, rows: Mapping[str, ItemRow], question_set: QuestionSet) -> None:
    """Write `blanks.png`, `outfits.png`, `calibration.png` and, where `history.csv` lies in the folder, `curves.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    titled, untitled = (CachedOutfitModel(model, rows, titles=titles) for titles in (True, False))
    draw_blanks(folder / "blanks.png", titled, rows, question_set.fitb["same_category"])
    draw_outfits(folder / "outfits.png", titled, untitled, rows, question_set)
    draw_calibration(folder / "calibration.png", titled, untitled, question_set)
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


def draw_outfits(
    path: Path,
    titled: CachedOutfitModel,
    untitled: CachedOutfitModel,
    rows: Mapping[str, ItemRow],
    question_set: QuestionSet,
) -> None:
    """One pair per row: a true outfit left, a corrupted one right, with the model's scores with titles and without."""
    kinds = [question_set.corrupted[kind] for kind in CORRUPTIONS]
    pairs = [
        (true, other)
        for row, true in enumerate(question_set.true_outfits)
        if (other := kinds[row % len(kinds)][row]) is not None
    ]
    # An odd distance meets every kind.
    pairs = pairs[:: max(1, len(pairs) // _SHOWN) | 1][:_SHOWN]
    if not pairs:
        return
    figure = Figure(figsize=(2 * _SHOWN_GARMENTS * 1.3, len(pairs) * 1.75 + 0.3), layout="constrained")
    grid = figure.subplots(len(pairs), 2 * _SHOWN_GARMENTS, squeeze=False)
    for axes, (true, corrupted) in zip(grid, pairs, strict=True):
        with_titles, without = titled.score([true, corrupted]), untitled.score([true, corrupted])
        _draw_outfit(axes[:_SHOWN_GARMENTS], rows, true, f"true: {with_titles[0]:.2f} / {without[0]:.2f}")
        _draw_outfit(axes[_SHOWN_GARMENTS:], rows, corrupted, f"random: {with_titles[1]:.2f} / {without[1]:.2f}")
    figure.suptitle(
        "Outfits as they were worn, and beside them garments put together at random; score with titles / without",
        fontsize=10,
    )
    _save(figure, path)


def draw_calibration(
    path: Path, titled: CachedOutfitModel, untitled: CachedOutfitModel, question_set: QuestionSet
) -> None:
    """Reliability diagram (arXiv 1706.04599, figure 1) on the validation outfits that the calibration was fitted on."""
    outfits, true = question_set.against(*CORRUPTIONS)
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    for axis, name, model in zip(
        figure.subplots(1, 2, sharey=True), ("with titles", "without titles"), (titled, untitled), strict=True
    ):
        scores, worn = model.score(outfits), np.array(true, dtype=float)
        bins = np.minimum((scores * BINS).astype(int), BINS - 1)
        filled = [number for number in range(BINS) if (bins == number).any()]
        shares, means = ([float(values[bins == number].mean()) for number in filled] for values in (worn, scores))
        axis.plot([0, 1], [0, 1], color=_QUIET, linewidth=1)
        axis.plot(means, shares, marker="o", markersize=4, linewidth=1.8)
        axis.set_title(f"{name}: ECE {calibration_error(scores, true):.3f}", loc="left", fontsize=10)
        axis.set_xlabel("score")
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    figure.axes[0].set_ylabel("share of outfits that were worn")
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
    picture = as_served(row).image
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

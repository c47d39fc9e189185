"""An outfit model's metrics on the test split, through the class that serves, beside baselines that only count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from aura.errors import DataError
from aura.prepared_rows import OutfitRow
from aura.taxonomy import Category
from inference.outfits.model import OutfitModel
from training.context import Evaluation
from training.device import training_device
from training.judged import JudgedCases, judging_half, reported_half
from training.outfits.baselines import Cooccurrence, Popularity, WordPairs
from training.outfits.cached_model import CachedOutfitModel
from training.outfits.corruptions import CORRUPTIONS, part_of
from training.outfits.data import OutfitTables, named, read_tables
from training.outfits.judging import MIN_QUESTIONS, judged
from training.outfits.metrics import (
    area_under_roc,
    by_category,
    calibration_error,
    fitb_choices,
    fitb_choices_by_query,
    mean,
    odds_ratio,
    recall,
    retrieval_ranks,
    right,
)
from training.outfits.questions import QuestionSet, make_question_set
from training.outfits.settings import OutfitsSettings
from training.outfits.term_counts import count_terms


def evaluate(artifact_dir: Path, data_dir: Path, settings: OutfitsSettings, seed: int) -> Evaluation:
    """Metrics on `DATA/outfits/test.jsonl`; the questions depend on the split, the seed and `settings.max_questions` alone.

    Metrics, of the reported half of the outfits; `training.outfits.spec` says what each is. Those that end in `_untitled` show
    the garments as a detector finds them, without titles: the model then reads pictures, and the titles that these give.
    Baselines, on the questions of `fitb`: see `training.outfits.baselines`. Splits share garments, so memory alone can answer
    much; it cannot answer `fitb_unseen`, the questions whose true garment no training outfit holds. `unseen_questions` counts
    them, and below 20 of them `fitb_unseen` is left out.

    Slices: `fitb_both` per category of the blank with at least 20 questions. `n` counts the questions of `fitb`. The model
    runs where `settings.accelerator` says.

    Judged: see `training.outfits.judging`.

    Raises:
        ArtifactError: the artifact is incomplete or corrupt.
        DataError: the split is missing, broken, or too small to ask a question.
    """
    tables = read_tables(data_dir)
    reported, judging = halves(tables, settings, seed)
    model = OutfitModel.load(artifact_dir, training_device(settings), remember=True)
    titled, untitled = (CachedOutfitModel(model, tables.items, titles=titles) for titles in (True, False))
    questions = reported.fitb["same_category"]
    correct, correct_untitled = (right(fitb_choices(each, questions), questions) for each in (titled, untitled))
    both = np.mean([correct, correct_untitled], axis=0)
    metrics = {
        **_measured(titled, reported, correct),
        **{f"{name}_untitled": value for name, value in _measured(untitled, reported, correct_untitled).items()},
        "fitb_both": mean(both),
        **recall(retrieval_ranks(titled, reported)),
        **_baselines(tables, reported),
    }
    metrics["fitb_gain"] = metrics["fitb"] - metrics["word_pairs_fitb"]
    metrics["fitb_gain_untitled"] = metrics["fitb_untitled"] - metrics["word_pairs_fitb_untitled"]
    seen = set(tables.used_in("train"))
    unseen = np.array([question.true_item not in seen for question in questions], dtype=bool)
    metrics["unseen_questions"] = float(unseen.sum())
    if unseen.sum() >= MIN_QUESTIONS:
        metrics["fitb_unseen"] = mean(correct[unseen])
    counts = {category: sum(question.category == category for question in questions) for category in Category}
    return Evaluation(
        metrics=metrics,
        slices={
            "category": {
                name: value
                for name, value in by_category(both, questions).items()
                if counts[Category(name)] >= MIN_QUESTIONS
            }
        },
        n=len(questions),
        judged=judged(
            judging,
            lambda asked: right(fitb_choices(titled, asked), asked),
            lambda asked: right(fitb_choices(untitled, asked), asked),
            lambda asked: right(fitb_choices_by_query(titled, asked), asked),
        ),
    )


def controls(data_dir: Path, settings: OutfitsSettings, seed: int) -> Mapping[str, JudgedCases]:
    """What a model must be better than, on the judging half. Counts of item ids are none: see `training.outfits.baselines`.

    Raises:
        DataError: the split is missing, broken, or too small to ask a question.
    """
    tables = read_tables(data_dir)
    _, judging = halves(tables, settings, seed)
    titled, untitled = word_pairs(tables, judging)
    popularity = Popularity(tables.items, tables.outfits["train"])
    return {
        "popularity": judged(judging, popularity.credits, popularity.credits, popularity.credits),
        "word pairs": judged(judging, titled.credits, untitled.credits, titled.credits),
    }


def word_pairs(tables: OutfitTables, question_set: QuestionSet) -> tuple[WordPairs, WordPairs]:
    """The control for the garments of some questions: with their titles, and without."""
    terms = count_terms(tables)
    asked = sorted(question_set.garments())
    titled, untitled = (
        WordPairs(terms, {item: named(tables.items[item], titles=titles) for item in asked}) for titles in (True, False)
    )
    return titled, untitled


def halves(tables: OutfitTables, settings: OutfitsSettings, seed: int) -> tuple[QuestionSet, QuestionSet]:
    """Questions about the reported half of the test split, and about the judging half.

    Raises:
        DataError: a half gives no question.
    """
    outfits = tables.outfits["test"]
    question_set = make_question_set(tables.items, outfits, seed=seed, max_questions=settings.max_questions)
    judges = judging_half([outfit.outfit_id for outfit in outfits])
    reported, judging = (question_set.about(_ids(outfits, half)) for half in (reported_half(judges), judges))
    if not reported.fitb["same_category"] or not judging.fitb["same_category"]:
        raise DataError(
            f"{len(outfits)} test outfits give no fill-in-the-blank question",
            hint="add outfits, or change the split fractions",
        )
    return reported, judging


def _ids(outfits: Sequence[OutfitRow], chosen: np.ndarray) -> set[str]:
    return {outfits[row].outfit_id for row in np.flatnonzero(chosen).tolist()}


def _measured(model: CachedOutfitModel, asked: QuestionSet, correct: np.ndarray) -> dict[str, float]:
    """Metrics that are taken with titles and without; `correct`: which questions of `fitb` are answered rightly."""
    easy = asked.fitb["random"]
    hard_pairs, hard_true = asked.against("same_category")
    outfits, true = asked.against(*CORRUPTIONS)
    rng = np.random.default_rng(len(outfits))
    stacks = [outfit for outfit in asked.corrupted["one_category"] if outfit is not None]
    return {
        "fitb": mean(correct),
        "fitb_random": mean(right(fitb_choices(model, easy), easy)),
        "fitb_by_query": mean(
            right(fitb_choices_by_query(model, asked.fitb["same_category"]), asked.fitb["same_category"])
        ),
        "auc": area_under_roc(model.score(hard_pairs), hard_true),
        "ece": calibration_error(model.score(outfits), true),
        "ece_parts": calibration_error(model.score([part_of(outfit, rng) for outfit in outfits]), true),
        "one_category_odds": odds_ratio(model.score(stacks), model.score(asked.true_outfits)),
    }


def _baselines(tables: OutfitTables, asked: QuestionSet) -> dict[str, float]:
    """What only counts, on the questions of the model's metrics."""
    hard, easy = asked.fitb["same_category"], asked.fitb["random"]
    worn = tables.outfits["train"]
    titled, untitled = word_pairs(tables, asked)
    return {
        "word_pairs_fitb": titled.accuracy(hard),
        "word_pairs_fitb_untitled": untitled.accuracy(hard),
        "word_pairs_fitb_random": titled.accuracy(easy),
        "word_pairs_fitb_random_untitled": untitled.accuracy(easy),
        "popularity_fitb": Popularity(tables.items, worn).accuracy(hard),
        "cooccurrence_fitb": Cooccurrence(tables.items, worn).accuracy(hard),
    }

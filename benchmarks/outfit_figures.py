"""Figures of one outfit model on all test outfits, each with its interval, beside what only counts."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from inference.outfits.model import OutfitModel
from training.judged import JudgedCases
from training.outfits.baselines import Cooccurrence, Popularity, WordPairs
from training.outfits.cached_model import CachedOutfitModel
from training.outfits.corruptions import CORRUPTIONS, part_of
from training.outfits.data import OutfitTables, named, read_tables
from training.outfits.evaluate import word_pairs
from training.outfits.judging import MIN_QUESTIONS, judged
from training.outfits.metrics import (
    by_category,
    calibration_error,
    fitb_choices,
    fitb_choices_by_query,
    odds_ratio,
    right,
)
from training.outfits.questions import QuestionSet, make_question_set
from training.outfits.term_counts import count_terms
from training.paired import Difference, differences

_EVERYTHING = 1_000_000
_NAMED_STYLE = 0.6
_DRAWS = 1000


def figures(artifact: Path, data: Path, seed: int) -> dict[str, Any]:
    """What the page shows, as text; see `benchmarks.outfits`."""
    tables = read_tables(data)
    asked = make_question_set(tables.items, tables.outfits["test"], seed=seed, max_questions=_EVERYTHING)
    model = OutfitModel.load(artifact, remember=True)
    titled, untitled = (CachedOutfitModel(model, tables.items, titles=titles) for titles in (True, False))
    hard = asked.fitb["same_category"]
    answers = judged(
        asked,
        lambda questions: right(fitb_choices(titled, questions), questions),
        lambda questions: right(fitb_choices(untitled, questions), questions),
        lambda questions: right(fitb_choices_by_query(titled, questions), questions),
    )
    words, pictures = word_pairs(tables, asked)
    counted = judged(asked, words.credits, pictures.credits, words.credits)
    values = {
        **{name: _value(difference) for name, difference in _alone(answers, seed).items()},
        **{f"word_pairs_{name}": _value(difference) for name, difference in _alone(counted, seed).items()},
        **{f"gain_{name}": _gain(difference) for name, difference in differences(answers, counted, seed).items()},
        **_worn_before(tables, asked, seed),
        **_scores(titled, asked, "", seed),
        **_scores(untitled, asked, "_untitled", seed),
    }
    if style := _words_that_name_the_style(tables, asked, seed):
        values["style_fitb"] = style
    return {
        "values": values,
        "categories": _categories(asked, titled, untitled, words, pictures),
        "outfits": len(answers.cases),
        "questions": len(hard),
        "machine": f"{os.cpu_count()} cores",
    }


def _alone(cases: JudgedCases, seed: int) -> dict[str, Difference]:
    """Each metric with its own interval: its difference from nothing."""
    nothing = JudgedCases(
        unit=cases.unit, cases=cases.cases, measure=lambda _: dict.fromkeys(cases.values, 0.0), sizes=cases.sizes
    )
    return differences(cases, nothing, seed)


def _worn_before(tables: OutfitTables, asked: QuestionSet, seed: int) -> dict[str, str]:
    """Counts of ids, which titles do not change."""
    found = {}
    for name, baseline in (("cooccurrence", Cooccurrence), ("popularity", Popularity)):
        credits = baseline(tables.items, tables.outfits["train"]).credits
        value = _value(_alone(judged(asked, credits, credits, credits), seed)["fitb"])
        found |= {f"{name}_fitb": value, f"{name}_fitb_untitled": value}
    return found


def _scores(model: CachedOutfitModel, asked: QuestionSet, suffix: str, seed: int) -> dict[str, str]:
    """AUC, calibration error and odds, of outfits drawn again with all of their counterparts."""
    rng = np.random.default_rng(seed)
    true, true_parts = (_all(model, outfits) for outfits in (asked.true_outfits, _parts(asked.true_outfits, rng)))
    others = {kind: _all(model, outfits) for kind, outfits in asked.corrupted.items()}
    other_parts = {kind: _all(model, _parts(outfits, rng)) for kind, outfits in asked.corrupted.items()}

    def measured(rows: np.ndarray) -> tuple[float, float, float, float]:
        kept, parts = (
            _pairs(own[rows], {kind: scores[rows] for kind, scores in found.items()})
            for own, found in ((true, others), (true_parts, other_parts))
        )
        same = np.concatenate(kept[CORRUPTIONS.index("same_category")])
        piled = kept[CORRUPTIONS.index("one_category")][1]
        auc = roc_auc_score([1] * (len(same) // 2) + [0] * (len(same) // 2), same)
        return float(auc), _calibration_error(kept), _calibration_error(parts), odds_ratio(piled, true[rows])

    n = len(true)
    whole = measured(np.arange(n))
    drawn = np.array([measured(rng.integers(n, size=n)) for _ in range(_DRAWS)])
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    names = ("auc", "ece", "ece_parts", "one_category_odds")
    return {
        f"{name}{suffix}": f"{whole[place]:.3f} ({low[place]:.3f} to {high[place]:.3f})"
        for place, name in enumerate(names)
    }


def _pairs(true: np.ndarray, others: Mapping[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each kind of corruption the scores of true outfits and of their counterparts, where there are any."""
    found = [(true, others[kind]) for kind in CORRUPTIONS]
    return [(own[~np.isnan(other)], other[~np.isnan(other)]) for own, other in found]


def _calibration_error(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    labels = [label for own, _ in pairs for label in [True] * len(own) + [False] * len(own)]
    return calibration_error(np.concatenate([np.concatenate(pair) for pair in pairs]), labels)


def _parts(outfits: Sequence[tuple[str, ...] | None], rng: np.random.Generator) -> list[tuple[str, ...] | None]:
    return [None if outfit is None else part_of(outfit, rng) for outfit in outfits]


def _all(model: CachedOutfitModel, outfits: Sequence[tuple[str, ...] | None]) -> np.ndarray:
    """Scores at the places of the outfits that there are; NaN elsewhere."""
    scores = np.full(len(outfits), np.nan)
    there = [place for place, outfit in enumerate(outfits) if outfit is not None]
    scores[there] = model.score([outfit for outfit in outfits if outfit is not None])
    return scores


def _words_that_name_the_style(tables: OutfitTables, asked: QuestionSet, seed: int) -> str:
    """FITB of word pairs if titles named the style; empty where none is known."""
    rng = random.Random(seed)
    items = {
        item: row.model_copy(update={"title": f"{row.attributes['style']} {row.title}"})
        if "style" in row.attributes and rng.random() < _NAMED_STYLE
        else row
        for item, row in tables.items.items()
    }
    if all(row is tables.items[item] for item, row in items.items()):
        return ""
    named_tables = OutfitTables(items, tables.outfits)
    control = WordPairs(count_terms(named_tables), {item: named(items[item]) for item in sorted(asked.garments())})
    return _value(_alone(judged(asked, control.credits, control.credits, control.credits), seed)["fitb"])


def _categories(
    asked: QuestionSet, titled: CachedOutfitModel, untitled: CachedOutfitModel, words: WordPairs, pictures: WordPairs
) -> Mapping[str, list[str]]:
    hard = asked.fitb["same_category"]
    columns = [right(fitb_choices(model, hard), hard) for model in (titled, untitled)]
    columns += [control.credits(hard) for control in (words, pictures)]
    means = [by_category(column, hard) for column in columns]
    sizes = {name: sum(question.category.value == name for question in hard) for name in means[0]}
    return {
        name: [str(size), *(f"{mean[name]:.3f}" for mean in means)]
        for name, size in sizes.items()
        if size >= MIN_QUESTIONS
    }


def _value(difference: Difference) -> str:
    return f"{difference.new:.3f} ({difference.low:.3f} to {difference.high:.3f})"


def _gain(difference: Difference) -> str:
    return f"{difference.gain:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"

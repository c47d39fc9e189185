"""A model, or a baseline, on the judging half of the test split: what the gate reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from training.judged import JudgedCases
from training.outfits.questions import Question, QuestionSet

MIN_QUESTIONS = 20
"""A metric of fewer questions is left out: its standard error would be 0.1 and more."""
Credits = Callable[[Sequence[Question]], np.ndarray]
"""What each question was worth, in [0, 1]."""


def judged(judging: QuestionSet, titled: Credits, untitled: Credits, by_query: Credits) -> JudgedCases:
    """`fitb`, `fitb_random`, both untitled, `fitb_both` and `fitb_by_query`, outfit by outfit.

    The outfits are drawn, with all of their blanks: those of one outfit are not independent.
    """
    hard, easy = judging.fitb["same_category"], judging.fitb["random"]
    return judged_questions(
        {
            "fitb": (hard, titled(hard)),
            "fitb_untitled": (hard, untitled(hard)),
            "fitb_random": (easy, titled(easy)),
            "fitb_random_untitled": (easy, untitled(easy)),
            "fitb_by_query": (hard, by_query(hard)),
        }
    )


def judged_questions(credits: Mapping[str, tuple[Sequence[Question], np.ndarray]]) -> JudgedCases:
    """Metric to its questions and what each was worth; `fitb` and `fitb_untitled`, of the same questions, are among them.

    Their mean `fitb_both` is also judged per category with at least 20 blanks.
    """
    row = {name: index for index, name in enumerate(sorted({q.outfit for asked, _ in credits.values() for q in asked}))}
    named = dict(credits)
    asked = named["fitb"][0]
    worth = np.mean([named["fitb"][1], named["fitb_untitled"][1]], axis=0)
    named["fitb_both"] = (asked, worth)
    sizes = {}
    for category in sorted({question.category for question in asked}):
        chosen = [index for index, question in enumerate(asked) if question.category == category]
        if len(chosen) >= MIN_QUESTIONS:
            sizes[f"category {category.value}"] = len(chosen)
            named[f"category {category.value}"] = ([asked[index] for index in chosen], worth[chosen])
    rows = {
        name: np.array([row[question.outfit] for question in of], dtype=np.int64) for name, (of, _) in named.items()
    }

    def measure(counts: np.ndarray) -> dict[str, float]:
        weights = {name: counts[rows[name]] for name in named}
        return {
            name: float(values @ weights[name] / weights[name].sum()) if weights[name].sum() else float("nan")
            for name, (_, values) in named.items()
        }

    return JudgedCases(unit="outfits", cases=tuple(row), measure=measure, sizes=sizes)

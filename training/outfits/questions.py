"""The questions that an outfit model is evaluated on: made once from a split and a seed, the same for every model.

- compatibility: each true outfit beside corrupted copies (`training.outfits.corruptions`). Garments of the same categories are
  the hard case; section 4.2 of arXiv 2204.04812 draws them without regard to category, which categories alone can tell;
- fill in the blank: each garment of each outfit in turn is the answer among four candidates. `random` draws the three wrong
  ones from any category, `same_category` from the answer's own, so that knowing the category does not help;
- retrieval: where the true garment ranks among all items of its category that the outfit does not hold already.

Each question can be asked with the garments' titles and without. Splits share garments, so some answers can be remembered
instead of seen: `training.outfits.baselines` says how many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from aura.prepared_rows import ItemRow, OutfitRow
from aura.taxonomy import Category
from training.outfits.corruptions import CORRUPTIONS, Corruption, Pool, corrupted

CANDIDATES = 4


@dataclass(frozen=True)
class Question:
    """A blank to fill.

    Attributes:
        context: ids of the garments that are given.
        category: category of the blank.
        candidates: four item ids.
        answer: index of the true one in `candidates`.
        outfit: id of the outfit that was blanked.
    """

    context: tuple[str, ...]
    category: Category
    candidates: tuple[str, ...]
    answer: int
    outfit: str = ""

    @property
    def true_item(self) -> str:
        return self.candidates[self.answer]

    def completed(self) -> list[tuple[str, ...]]:
        """The outfit with each candidate in the blank."""
        return [(*self.context, candidate) for candidate in self.candidates]


@dataclass(frozen=True)
class QuestionSet:
    """Questions about one split.

    Attributes:
        outfit_ids: id of each outfit of the next two.
        true_outfits: ids of the garments of each outfit.
        corrupted: its counterparts by kind, at the same index; None where a kind cannot be made of the split's garments, which
            never happens for `same_category`.
        fitb: questions by kind, `random` and `same_category`.
        pools: all items that compete in retrieval, by category.
        skipped: questions that could not be asked because too few other garments exist, by kind.
    """

    outfit_ids: list[str]
    true_outfits: list[tuple[str, ...]]
    corrupted: dict[Corruption, list[tuple[str, ...] | None]]
    fitb: dict[str, list[Question]]
    pools: dict[Category, list[str]]
    skipped: dict[str, int] = field(default_factory=dict)

    def against(self, *kinds: Corruption) -> tuple[list[tuple[str, ...]], list[bool]]:
        """Outfits, and whether they are true: each true one once for each of its corrupted counterparts of these kinds."""
        pairs = [
            (true, other)
            for kind in kinds
            for true, other in zip(self.true_outfits, self.corrupted[kind], strict=True)
            if other is not None
        ]
        return [outfit for pair in pairs for outfit in pair], [True, False] * len(pairs)

    def garments(self) -> set[str]:
        """Ids of all garments that a question or a compared outfit names."""
        outfits = [*self.true_outfits, *(outfit for kind in self.corrupted.values() for outfit in kind if outfit)]
        asked = [question for questions in self.fitb.values() for question in questions]
        return {item for outfit in outfits for item in outfit} | {
            item for question in asked for item in (*question.context, *question.candidates)
        }

    def about(self, outfits: Collection[str]) -> QuestionSet:
        """The questions about some outfits; the wrong garments may come from others."""
        pairs = [row for row, outfit in enumerate(self.outfit_ids) if outfit in outfits]
        return replace(
            self,
            outfit_ids=[self.outfit_ids[row] for row in pairs],
            true_outfits=[self.true_outfits[row] for row in pairs],
            corrupted={kind: [outfits[row] for row in pairs] for kind, outfits in self.corrupted.items()},
            fitb={
                kind: [question for question in questions if question.outfit in outfits]
                for kind, questions in self.fitb.items()
            },
        )


def make_question_set(
    items: Mapping[str, ItemRow], outfits: Sequence[OutfitRow], *, seed: int, max_questions: int
) -> QuestionSet:
    """Questions about the outfits of one split. Wrong garments come from outfits of the same split.

    Args:
        max_questions: most questions of one kind; a random choice of them when there are more.
    """
    rng = np.random.default_rng(seed)
    pool = Pool.of(items, outfits)
    compared = [
        (outfit, {kind: corrupted(outfit.items, kind, pool, rng) for kind in CORRUPTIONS})
        for outfit in outfits
        if len(outfit.items) >= 2
    ]
    compared = [(outfit, others) for outfit, others in compared if others["same_category"] is not None]
    kinds: dict[str, list[Question]] = {"random": [], "same_category": []}
    skipped = dict.fromkeys(kinds, 0)
    for outfit in outfits:
        for blank in outfit.items if len(outfit.items) >= 2 else ():
            category = items[blank].category
            for kind, wrong in (("random", pool.all()), ("same_category", pool.members[category])):
                question = _question(outfit, blank, category, wrong, rng)
                if question is None:
                    skipped[kind] += 1
                else:
                    kinds[kind].append(question)
    pools: dict[Category, list[str]] = defaultdict(list)
    for row in items.values():
        pools[row.category].append(row.item_id)
    return QuestionSet(
        outfit_ids=[outfit.outfit_id for outfit, _ in compared],
        true_outfits=[outfit.items for outfit, _ in compared],
        corrupted={kind: [others[kind] for _, others in compared] for kind in CORRUPTIONS},
        fitb={kind: _some(questions, max_questions, rng) for kind, questions in kinds.items()},
        pools=dict(pools),
        skipped=skipped,
    )


def _question(
    outfit: OutfitRow, blank: str, category: Category, pool: Sequence[str], rng: np.random.Generator
) -> Question | None:
    wrong = [item for item in pool if item not in outfit.items]
    if len(wrong) < CANDIDATES - 1:
        return None
    chosen = [wrong[index] for index in rng.choice(len(wrong), CANDIDATES - 1, replace=False)]
    answer = int(rng.integers(CANDIDATES))
    chosen.insert(answer, blank)
    context = tuple(item for item in outfit.items if item != blank)
    return Question(context, category, tuple(chosen), answer, outfit.outfit_id)


def _some(questions: list[Question], most: int, rng: np.random.Generator) -> list[Question]:
    if len(questions) <= most:
        return questions
    return [questions[index] for index in sorted(rng.choice(len(questions), most, replace=False))]

"""What the prediction log keeps of outfits: scores and categories, no garment and nobody's."""

from __future__ import annotations

from bentos.outfit_recommendation.messages import Completions, Judgement, MadeOutfits
from stores.predictions import Figures


def judgement_figures(answer: Judgement) -> Figures:
    """Score of the outfit, how many garments it has, and their categories."""
    return {
        "score": [round(answer.score, 4)],
        "garments": [len(answer.items)],
        "category": [item.category.value for item in answer.items],
    }


def completion_figures(answer: Completions) -> Figures:
    """Categories that were wanted, how many items there are, and of the best item of each category its score with the outfit."""
    return {
        "score": [round(items[0].outfit_score, 4) for items in answer.targets.values() if items],
        "items": [sum(map(len, answer.targets.values()))],
        "category": [category.value for category in answer.targets],
    }


def outfits_figures(answer: MadeOutfits) -> Figures:
    """How many outfits there are, the score of each, and the categories of their garments."""
    return {
        "score": [round(outfit.score, 4) for outfit in answer.outfits],
        "outfits": [len(answer.outfits)],
        "category": [piece.category.value for outfit in answer.outfits for piece in outfit.pieces],
    }

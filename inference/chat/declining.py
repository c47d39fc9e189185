"""When a question is declined because nothing that was found answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from aura.errors import ArtifactError
from inference.chat.familiarity import SIGNS

_FILE = "decline_rule.safetensors"


@dataclass(frozen=True, kw_only=True, eq=False)
class DeclineRule:
    """A support vector machine with a Gaussian kernel (Cortes and Vapnik, Machine Learning 20, 1995) over what is known of a
    question: its `SIGNS` in order, then its embedding. No plane parts them, as what a sign says depends on what is asked about.

    A question x, clipped to what is usual, is declined when
    intercept + sum over i of coefficients[i] exp(-gamma |x / scale - vectors[i]|^2) > 0.

    Attributes:
        low, high: float32 (signs + dim,), what is usual per column (Winsor's limits): far from all that it was fitted on a kernel
            says nothing, and a question of a hundred words is as far as one can be.
        scale: float32 (signs + dim,), what each column is divided by; a large one counts little.
        vectors: float32 (questions, signs + dim), labelled questions that are near to the border, scaled.
        coefficients: float32 (questions,), more than 0 for those out of scope.
    """

    low: np.ndarray
    high: np.ndarray
    scale: np.ndarray
    vectors: np.ndarray
    coefficients: np.ndarray
    intercept: float
    gamma: float

    def holds(self, signs: Mapping[str, float], vector: np.ndarray) -> bool:
        """Whether a question with these signs and this embedding, float (dim,), is declined.

        Raises:
            ValueError: the embedding has another length than those that the rule was fitted on.
        """
        scaled = np.clip(question_row(signs, vector), self.low, self.high) / self.scale
        kernel = np.exp(-self.gamma * np.square(self.vectors - scaled).sum(axis=1))
        return bool(self.intercept + self.coefficients @ kernel > 0)

    def save(self, folder: Path) -> None:
        """Write the rule into an artifact's folder."""
        arrays = {
            "low": self.low, "high": self.high, "scale": self.scale, "vectors": self.vectors, "coefficients": self.coefficients,
            "intercept": np.array([self.intercept]), "gamma": np.array([self.gamma]),
        }  # fmt: skip
        save_file(
            {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}, folder / _FILE
        )

    @classmethod
    def load(cls, folder: Path) -> DeclineRule | None:
        """Read what `save` wrote; None where nothing was, as where no questions taught a rule.

        Raises:
            ArtifactError: the file is broken.
        """
        if not (folder / _FILE).is_file():
            return None
        try:
            arrays = load_file(folder / _FILE)
            intercept, gamma = (float(arrays.pop(name)[0]) for name in ("intercept", "gamma"))
            rule = cls(**arrays, intercept=intercept, gamma=gamma)
            if rule.vectors.shape != (len(rule.coefficients), len(rule.scale)):
                raise ValueError(f"vectors of shape {rule.vectors.shape}")
        except (OSError, SafetensorError, KeyError, IndexError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"when the chat model declines, in {folder / _FILE}, is broken: {error}",
                hint="train again, or roll back",
            ) from error
        return rule


def question_row(signs: Mapping[str, float], vector: np.ndarray) -> np.ndarray:
    """What a rule sees of a question: float32 (signs + dim,)."""
    return np.concatenate(([signs[name] for name in SIGNS], vector)).astype(np.float32)

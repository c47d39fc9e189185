"""Entailment by any transformers sequence classifier with a label of that name, such as those trained on MNLI and SNLI.

A production setting: no such model comes with pip, so the default profile checks by embeddings and rules alone.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from aura.errors import ArtifactError, HubUnavailableError
from inference.hub import hub_is_away
from inference.references import split_revision

_HINT = (
    "name a folder or a hub model that was trained on entailment, such as cross-encoder/nli-deberta-v3-small@<commit>"
)


class EntailmentModel:
    """Frozen classifier of (premise, claim) pairs. One instance is shared by threads.

    Args:
        reference: a folder or a hub name; see `inference.references`.
        device: torch device, for example `cpu` or `cuda:0`.

    Raises:
        ArtifactError: no such model, or one without an entailment label.
        HubUnavailableError: the hub does not answer at the moment.
    """

    def __init__(self, reference: str, device: str = "cpu") -> None:
        location, revision = split_revision(reference)
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(location, revision=revision)
            model = AutoModelForSequenceClassification.from_pretrained(location, revision=revision)
        except (OSError, ValueError) as error:
            kind = HubUnavailableError if hub_is_away(error) else ArtifactError
            raise kind(f"no entailment model at {reference!r}: {error}", hint=_HINT) from error
        labels = {label.lower(): int(index) for index, label in model.config.id2label.items()}
        if "entailment" not in labels:
            raise ArtifactError(f"{reference!r} has no label entailment, but {', '.join(labels)}", hint=_HINT)
        self._entailment = labels["entailment"]
        self._model = model.eval().to(device)
        self._lock = threading.Lock()  # fast tokenizers change their padding state while they work

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Probability that each premise entails its claim; a premise that is too long loses its end.

        Returns:
            float32 `(len(pairs),)`.
        """
        if not pairs:
            return np.zeros(0, dtype=np.float32)
        premises, claims = map(list, zip(*pairs, strict=True))
        with self._lock, torch.inference_mode():
            batch = self._tokenizer(premises, claims, padding=True, truncation="only_first", return_tensors="pt")
            logits = self._model(**batch.to(self._model.device)).logits
        return logits.float().softmax(dim=-1)[:, self._entailment].cpu().numpy()

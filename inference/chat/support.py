"""Does a passage say what a generated sentence says?

A sentence is supported by a passage's sentence, or by two neighbouring ones, that does not speak against it
(`inference.chat.contradiction`), holds its numbers and says the rest: by the cosine of their embeddings and the share of content
words that are found again, or by an entailment model where one is set. Embeddings alone cannot tell: MiniLM puts "wash at 30 °C"
and "never wash at 60 °C" side by side. Where in doubt the answer is no, since the passage's own words are at hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from aura.settings import ModelReference, Section
from inference.chat.contradiction import coverage, leaves_condition_out, misquotes, names_another_thing, speaks_against
from inference.chat.quantities import compare_quantities, quantities
from inference.chat.sentences import split_sentences

Verdict = Literal["supported", "contradicted", "unsupported"]
Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to float32 `(texts, dim)` with rows of L2 norm 1."""
Entail = Callable[[Sequence[tuple[str, str]]], np.ndarray]
"""(premise, claim) pairs to float32 `(pairs,)`: the probability that the premise entails the claim."""


class SupportSettings(Section):
    """When a generated sentence counts as said by a passage. Defaults (`ours`) for all-MiniLM-L6-v2, chosen on labelled pairs."""

    min_similarity: float = Field(default=0.5, ge=-1.0, le=1.0)
    """Least cosine of a sentence with what supports it."""
    min_coverage: float = Field(default=0.8, ge=0.0, le=1.0)
    """Least share of its content words that stand, in any form, in what supports it."""
    entailment: ModelReference | None = None
    """Entailment model that decides instead of cosine and coverage, such as `cross-encoder/nli-deberta-v3-small@<commit>`.
    null: none."""
    min_entailment: float = Field(default=0.5, ge=0.0, le=1.0)
    """Least probability of entailment; used with an entailment model."""
    min_quote_similarity: float = Field(default=0.45, ge=-1.0, le=1.0)
    """Least cosine of a sentence with the passage's sentence that is quoted instead of it; below, it is dropped."""

    @model_validator(mode="after")
    def _every_setting_counts(self) -> Self:
        if self.entailment is None:
            self.refuse_ignored(("min_entailment",), "no entailment model is set")
        else:
            self.refuse_ignored(("min_similarity", "min_coverage"), "an entailment model decides")
        return self


@dataclass(frozen=True)
class CheckedSentence:
    """A generated sentence, and what the passages say to it."""

    text: str
    verdict: Verdict
    passage: int | None
    """Index of the passage that the quote stands in."""
    quote: str | None
    """The passages' sentence that says about the same, or speaks against it; None when no sentence is near."""


@dataclass(frozen=True)
class _Source:
    """What may support a claim: a sentence of a passage, or two neighbouring ones."""

    passage: int
    heading: str
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.sentences)


_OPENER = re.compile(
    r"\s*(?:(?:yes|no|yeah|nope|sure|certainly|absolutely|definitely|of course|(?:hello|hi|hey)(?: there)?"
    r"|thanks|thank you|well|sorry|(?:great|good) question|okay|ok|(?:pro |style |quick |final )?tip|note|in short|remember)"
    r"\b\s*(?:(?:[,.!:;\u2013\u2014]+|-(?=\s))\s*|$))+",
    re.IGNORECASE,
)


_JOINT = re.compile(r"[,;:]\s|\b(?:and|but|because|since|so|as|while|when|if|which)\b")
"""What joins the clauses of a sentence."""


def without_opener(sentence: str) -> str:
    """The sentence without "Yes,", "Hello!" or "Tip:" before it, which claim nothing; empty when that is all."""
    opener = _OPENER.match(sentence)
    return sentence[opener.end() :] if opener else sentence


class SupportChecker:
    """Checks sentences against passages. Holds no state: as safe to share by threads as its models.

    Args:
        embed: for example `TextEmbedder.encode`.
        entail: for example `EntailmentModel.probabilities`; given exactly when the settings name an entailment model.
    """

    def __init__(self, embed: Embed, settings: SupportSettings, entail: Entail | None = None) -> None:
        if (entail is None) != (settings.entailment is None):
            raise ValueError(f"the entailment model of the settings is {settings.entailment}, but entail is {entail}")
        self._embed = embed
        self._entail = entail
        self.settings = settings

    def check(self, sentences: Sequence[str], passages: Sequence[str]) -> list[CheckedSentence]:
        """A verdict per sentence.

        Args:
            sentences: whole sentences of an answer; see `split_sentences`.
            passages: as they stand in the prompt (`passage_text`), or without the source line. That line, the first where more
                follow, says what a passage is about and is never quoted.
        """
        claims = [without_opener(sentence) for sentence in sentences]
        sources = _sources(passages)
        if not sources or not any(claims):
            return [CheckedSentence(sentence, "unsupported", None, None) for sentence in sentences]
        vectors = self._embed([*claims, *(source.text for source in sources)])
        similarities = vectors[: len(claims)] @ vectors[len(claims) :].T
        return [
            self._check(sentence, claim, sources, row)
            for sentence, claim, row in zip(sentences, claims, similarities, strict=True)
        ]

    def _check(self, sentence: str, claim: str, sources: list[_Source], similarities: np.ndarray) -> CheckedSentence:
        order = np.argsort(-similarities, kind="stable")
        near = [int(at) for at in order if similarities[at] >= self.settings.min_quote_similarity]
        if not claim or not near:
            return CheckedSentence(sentence, "unsupported", None, None)
        agreeing = [at for at in near if not _opposed(claim, sources[at])]
        # What one clause says must stand in one sentence: two would lend it a word each.
        joins = _JOINT.search(claim) is not None
        for at in agreeing:
            if (joins or len(sources[at].sentences) == 1) and self._says(sources[at], claim, float(similarities[at])):
                return _checked(sentence, "supported", sources, at, similarities)
        return _checked(
            sentence, "unsupported" if near[0] in agreeing else "contradicted", sources, near[0], similarities
        )

    def _says(self, source: _Source, claim: str, similarity: float) -> bool:
        """Whether a source that does not speak against a claim holds its numbers and says the rest of it."""
        if compare_quantities(quantities(claim), quantities(source.text)) != "held":
            return False
        if leaves_condition_out(claim, source.text) or names_another_thing(claim, source.text):
            return False
        if self._entail is not None:
            return float(self._entail([(f"{source.heading} {source.text}", claim)])[0]) >= self.settings.min_entailment
        # The heading's words do not count: "pack" and "suitcase" of a page's title say nothing about the coat.
        return similarity >= self.settings.min_similarity and coverage(claim, source.text) >= self.settings.min_coverage


def _opposed(claim: str, source: _Source) -> bool:
    return speaks_against(claim, source.text) or any(misquotes(claim, sentence) for sentence in source.sentences)


def _sources(passages: Sequence[str]) -> list[_Source]:
    sources = []
    for index, passage in enumerate(passages):
        heading, line_break, text = passage.strip().partition("\n")
        heading, text = (heading, text) if line_break else ("", passage)
        sentences = split_sentences(text)
        sources += [_Source(index, heading, (sentence,)) for sentence in sentences]
        sources += [_Source(index, heading, pair) for pair in pairwise(sentences)]
    return sources


def _checked(text: str, verdict: Verdict, sources: list[_Source], at: int, similarities: np.ndarray) -> CheckedSentence:
    """With the nearest single sentence of a source as the quote."""
    found = sources[at]
    single = {
        source.text: float(similarity)
        for source, similarity in zip(sources, similarities, strict=True)
        if source.passage == found.passage and source.text in found.sentences
    }
    return CheckedSentence(text, verdict, found.passage, max(found.sentences, key=lambda sentence: single[sentence]))

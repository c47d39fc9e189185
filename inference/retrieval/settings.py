"""Settings of the index: the sections `index:` (where it lies) and `retrieval:` (what it holds) of a profile.

`search` travels with every release of the index: an index is judged with the search settings that it is then served
with, and a rollback brings the old ones back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator, model_validator

from aura.paths import ProfilePaths
from aura.settings import ModelReference, Place, Section
from inference.references import IMAGE_ENCODER_REFERENCE, TEXT_EMBEDDER_REFERENCE

_OBJECT_STORE = "s3"
_CLOUD = "db"


class IndexSettings(Section):
    """Where the index lies. Apart from `retrieval`, on which the training of the chat depends: a move trains nothing anew."""

    uri: Place = ""
    """Folder, or `s3://BUCKET/PATH`, in which the index of each profile lies under the profile's name; empty: `index` in the home
    folder. Keys, region and endpoint of the object store come from the environment (docs/operations.md)."""

    @field_validator("uri")
    @classmethod
    def _can_hold_an_index(cls, uri: str) -> str:
        scheme, separator, place = uri.partition("://")
        if not separator:
            return uri
        if scheme == _CLOUD:
            raise ValueError(
                "LanceDB Cloud cannot hold the index: it builds indices some time after a write and hands out no whole tables, "
                "so that no build could be judged before it is served; s3://BUCKET/PATH can"
            )
        if scheme != _OBJECT_STORE:
            raise ValueError(f"the index lies in a folder or at s3://BUCKET/PATH; {scheme}:// is tested with nothing")
        if not place.strip("/"):
            raise ValueError("names no bucket: s3://BUCKET/PATH")
        return uri.rstrip("/")

    def address(self, paths: ProfilePaths) -> str:
        """Folder or URI of the index of one profile."""
        return f"{self.uri}/{paths.profile}" if self.uri else str(paths.index)


def pinecone_notice(environ: Mapping[str, str]) -> str:
    """What is said where somebody expects the index at Pinecone; empty when nobody does."""
    if not environ.get("PINECONE_API_KEY"):
        return ""
    return (
        "PINECONE_API_KEY is set, and nothing here asks Pinecone: the index is LanceDB; AURA_INDEX__URI=s3://BUCKET/PATH puts it "
        "into an object store that somebody else runs (docs/operations.md)"
    )


class SearchSettings(Section):
    """How a query becomes a ranking. Values are `ours`, cross-validated by `benchmarks/retrieval_fusion.py`."""

    candidates: int = Field(default=50, ge=1, le=1000)
    """Chunks that the vector search and the full-text search each give to the fusion."""
    fusion: Literal["scores", "ranks"] = "scores"
    """What is fused: cosine and BM25, or the ranks in both searches; see `inference.retrieval.hybrid`."""
    rrf_k: int = Field(default=60, ge=1)
    """Rank constant of `ranks`; 60 is the paper's (Cormack et al., SIGIR 2009)."""
    vector_weight: float = Field(default=10.0, ge=0.0)
    """Weight of the vector search; 0 switches it off."""
    text_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the full-text search; 0 switches it off."""

    @model_validator(mode="after")
    def _one_search_runs(self) -> SearchSettings:
        if self.vector_weight == self.text_weight == 0:
            raise ValueError("vector_weight and text_weight are both 0: nothing would be found")
        return self


class JudgeSettings(Section):
    """What a candidate must reach on the labelled queries before it is served."""

    page_hit_at_3_floor: float = Field(default=0.7, ge=0.0, le=1.0)
    """Smallest share of queries with a relevant page among the first three passages that may be served."""
    section_hit_at_3_floor: float = Field(default=0.6, ge=0.0, le=1.0)
    """The same for the sections that answer; without effect where no query has its sections labelled."""
    tolerance: float = Field(default=0.02, ge=0.0, le=1.0)
    """Largest fall of either share below the served index."""
    bootstrap_samples: int = Field(default=1000, ge=100)
    """Resamples of the queries for the 95 % intervals."""
    seed: int = 0
    """Seed of the resamples."""


class RetrievalSettings(Section):
    """Everything that decides what the index holds, when it is served and how it is searched."""

    text_embedder: ModelReference = TEXT_EMBEDDER_REFERENCE
    """Reference of the text embedder; see `inference.text_embedding`."""
    image_embedder: ModelReference = IMAGE_ENCODER_REFERENCE
    """Reference of the image encoder, `descriptor:...`, `wheel:...`, both joined by `+`, or the hub name of a SigLIP model; see
    `inference.image_encoder`."""
    chunk_max_words: int = Field(default=140, ge=20, le=2000)
    """Words of the longest chunk; 140 English words fit into the 256 word pieces that MiniLM reads."""
    batch_rows: int = Field(default=256, ge=1)
    """Rows per embedding batch and commit; a killed build loses one batch."""
    vector_index_min_rows: int = Field(default=5000, ge=256)
    """Rows from which vectors are indexed; below, brute force is exact and faster."""
    writer_wait_s: float = Field(default=10.0, ge=0.0)
    """Seconds for which a second writer waits before it gives up."""
    search: SearchSettings = SearchSettings()
    judge: JudgeSettings = JudgeSettings()

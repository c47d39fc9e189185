"""A model says what it has learnt from, and claims nothing that was not recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura.errors import ArtifactError
from aura.training_sources import DRAWN_ONLY, Source, TrainingSources, notice_of, read_sources, record_sources

DRAWN = Source(name="sample", drawn=True)
PHOTOS = Source(name="coco", drawn=False, licence="CC0", origin="mine.json")


def folder(root: Path, name: str, *sources: Source) -> Path:
    made = root / name
    made.mkdir()
    if sources:
        TrainingSources(sources=sources).write(made)
    return made


@pytest.mark.parametrize(
    ("data", "base", "notice"),
    [
        ((DRAWN,), None, DRAWN_ONLY),
        ((DRAWN,), (DRAWN,), DRAWN_ONLY),
        ((PHOTOS,), None, None),
        ((DRAWN, PHOTOS), None, None),
        # It began with a champion that had seen photos.
        ((DRAWN,), (PHOTOS,), None),
        # Nobody knows what the champion had seen.
        ((DRAWN,), (), None),
        ((), None, None),
    ],
)
def test_the_notice_follows_from_all_that_a_model_has_learnt_from(
    data: tuple[Source, ...], base: tuple[Source, ...] | None, notice: str | None, tmp_path: Path
) -> None:
    artifact = folder(tmp_path, "artifact")
    record_sources(
        artifact, [folder(tmp_path, "data", *data)], None if base is None else folder(tmp_path, "base", *base)
    )
    assert notice_of(artifact) == notice


def test_an_artifact_names_its_sources_with_their_licences(tmp_path: Path) -> None:
    artifact = folder(tmp_path, "artifact")
    record_sources(artifact, [folder(tmp_path, "data", DRAWN, PHOTOS)], None)
    found = read_sources(artifact)
    assert found is not None
    assert found.sources == (DRAWN, PHOTOS)


def test_a_broken_record_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sources.json").write_text('{"sources": [{"name": 5}]}')
    with pytest.raises(ArtifactError, match="records no sources"):
        notice_of(tmp_path)

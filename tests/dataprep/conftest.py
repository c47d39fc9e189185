"""A drawn sample and its prepared data, made once, and what every test of this folder needs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dataprep.prepare import prepare
from dataprep.settings import DataSettings
from dataprep.synthetic.source import write_sample
from tests.dataprep.knowledge_pages import write_knowledge
from tests.dataprep.tiny_sample import TINY


@pytest.fixture(scope="session")
def shared_raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw root with the drawn sample; to be read only."""
    root = tmp_path_factory.mktemp("raw")
    write_sample(root / "sample", TINY)
    return root


@pytest.fixture
def own_raw(shared_raw: Path, tmp_path: Path) -> Path:
    """A raw root with the drawn sample that a test may break."""
    return Path(shutil.copytree(shared_raw, tmp_path / "raw"))


@pytest.fixture
def knowledge(tmp_path: Path) -> Path:
    """A knowledge folder that a test may break."""
    return write_knowledge(tmp_path / "knowledge")


@pytest.fixture
def tiny() -> DataSettings:
    """The tiny sample, and imports that run in the test's own process."""
    return DataSettings.model_validate({"sample": TINY.model_dump(), "imports": {"workers": 1}})


@pytest.fixture(scope="module")
def prepared(shared_raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of the drawn sample; to be read only."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare(DataSettings(sample=TINY), shared_raw, write_knowledge(folder / "knowledge"), folder / "data")
    return folder / "data"

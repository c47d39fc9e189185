"""What a profile refuses about stores that others run, before anything starts."""

from __future__ import annotations

import pytest

from aura.errors import SettingsError
from flows.profile import load_profile


def test_a_remote_that_dvc_cannot_reach_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"night\.remote: .*dvc-s3"):
        load_profile("sample", ["night.remote=s3://aura/dvc"])


def test_the_index_and_the_files_of_models_may_lie_in_an_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_INDEX__URI", "s3://aura/index")
    monkeypatch.setenv("AURA_TRACKING__ARTIFACTS", "s3://aura/mlflow")
    profile = load_profile("sample")
    assert (profile.index.uri, profile.tracking.artifacts) == ("s3://aura/index", "s3://aura/mlflow")

"""No setting may hold a secret: settings are logged with every run and committed with every night."""

from __future__ import annotations

import pytest

from aura.errors import SettingsError
from aura.settings import Section, read_profile, validate
from flows.profile import load_profile


class Addressed(Section):
    base: str = ""


@pytest.mark.parametrize(
    ("address", "variable"),
    [
        ("azure://container/dvc?sv=2024&sig=s3cretS3CRET", "AZURE_STORAGE_SAS_TOKEN"),
        ("https://account.blob.core.windows.net/dvc?sv=2024&sig=s3cretS3CRET", "AZURE_STORAGE_SAS_TOKEN"),
        ("s3://AKIA:s3cretS3CRET@bucket/dvc", "AWS_SECRET_ACCESS_KEY"),
        ("https://hub_s3cretS3CRET0123456789@mlflow.test", "MLFLOW_TRACKING_TOKEN"),
        ("https://mlflow.test/?access=s3cretS3CRET", "MLFLOW_TRACKING_TOKEN"),
        ("https://mlflow.test/#s3cretS3CRET", "MLFLOW_TRACKING_TOKEN"),
        ("postgresql+psycopg://aura@db/mlflow?password=s3cretS3CRET", "PGPASSWORD"),
    ],
)
@pytest.mark.parametrize("key", ["night.remote", "tracking.uri", "chat.base", "retrieval.image_embedder"])
def test_a_secret_is_refused_wherever_it_stands_and_not_repeated(address: str, variable: str, key: str) -> None:
    with pytest.raises(SettingsError, match=variable) as caught:
        load_profile("sample", [f"{key}={address}"])
    assert key in str(caught.value)
    assert "s3cretS3CRET" not in str(caught.value)


def test_overrides_that_cannot_be_read_are_told_without_their_secrets() -> None:
    with pytest.raises(SettingsError) as caught:
        read_profile("sample", ["night.remote=https://x.test/?sig=s3cret", "night=: {"])
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "allowed",
    [
        "https://aura@mlflow", "s3://bucket/folder", "ssh://git@host/dvc", "/srv/dvc?token=x#y", "sqlite:///var/mlflow.db?timeout=9",
        "postgresql://aura@db/mlflow?sslmode=require&sslkey=/etc/key", "file:///home/a#b/dvc",
        "answer with a link such as https://shop.test/?id=1",
    ],
)  # fmt: skip
def test_what_is_no_secret_is_allowed(allowed: str) -> None:
    assert validate(Addressed, {"base": allowed}).base == allowed

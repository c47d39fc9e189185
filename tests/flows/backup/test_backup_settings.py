"""How long backups stay, and what is an address of restic's."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura.errors import SettingsError
from flows.profile import load_profile


def test_backups_are_kept_no_longer_than_a_deletion_says() -> None:
    assert 0 < load_profile("sample").backup.days <= load_profile("sample").serving.accounts.copies_days
    with pytest.raises(SettingsError, match=r"keeps backups for 372 days, .* no copy is left after 30"):
        load_profile("sample", ["backup.keep_monthly=12"])
    assert load_profile("sample", ["backup.keep_monthly=12", "serving.accounts.copies_days=400"]).backup.days == 372


@pytest.mark.parametrize(
    "address", ["s3:https://host/bucket", "sftp:user@host:/folder", "b2:bucket:aura", "rest:http://host"]
)
def test_an_address_of_restics_is_no_folder_here(address: str) -> None:
    assert load_profile("sample", [f"backup.repository={address}"]).backup.repository == address
    assert load_profile("sample", ["backup.repository=b"]).backup.repository == str(Path("b").absolute())

"""Where backups go, and which stay. Every command reads this: nothing heavy is imported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from aura.settings import Section

_ADDRESS = re.compile(r"[a-z0-9]{2,}:")
"""How restic's addresses begin: `s3:`, `sftp:`, `rest:`, `b2:`, `rclone:`, ..."""


def is_address(repository: str) -> bool:
    """Whether a repository is on a server, and not a folder."""
    return _ADDRESS.match(repository) is not None


def _whole(repository: str) -> str:
    if not repository or is_address(repository):
        return repository
    return str(Path(repository).expanduser().absolute())


class BackupSettings(Section):
    """`aura backup`. Passwords and credentials are restic's own variables: `RESTIC_PASSWORD_FILE`, `AWS_ACCESS_KEY_ID`, ..."""

    repository: Annotated[str, AfterValidator(_whole)] = ""
    """restic's repository: a folder, best on another disk, or an address such as `s3:https://HOST/BUCKET` or
    `sftp://USER@HOST//FOLDER`; empty: a folder under the home folder."""
    plain: bool = False
    """Write plain folders although restic is installed: neither encrypted nor deduplicated, and none is ever removed."""
    keep_last: int = Field(default=3, ge=1)
    """Newest backups that stay, and beside them the newest one of each of so many days, weeks and months:"""
    keep_daily: int = Field(default=7, ge=0)
    """Newest days of which a backup stays."""
    keep_weekly: int = Field(default=4, ge=0)
    """Newest weeks of which a backup stays."""
    keep_monthly: int = Field(default=0, ge=0)
    """Newest months of which a backup stays. Who deletes an account is told when no copy is left
    (`serving.accounts.copies_days`): what keeps backups for longer is refused."""

    @property
    def days(self) -> int:
        """Days that a backup stays at most, where one is made every day."""
        return max(self.keep_last, self.keep_daily, 7 * self.keep_weekly, 31 * self.keep_monthly)

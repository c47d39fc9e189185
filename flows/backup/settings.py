"""Where backups go, and which stay. Every command reads this: nothing heavy is imported."""

from __future__ import annotations

from pydantic import Field

from aura.settings import Place, Section


class BackupSettings(Section):
    """`aura backup`. Passwords and credentials are restic's own variables: `RESTIC_PASSWORD_FILE`, `AWS_ACCESS_KEY_ID`, ..."""

    repository: Place = ""
    """restic's repository: a folder, best on another disk, or an address such as `s3:https://HOST/BUCKET` or
    `sftp://USER@HOST//FOLDER`; empty: a folder under the home folder."""
    plain: bool = False
    """Write plain folders although restic is installed: neither encrypted nor deduplicated, and none is ever removed."""
    keep_last: int = Field(default=3, ge=1)
    """Newest backups that stay, and beside them the newest one of each of so many days, weeks and months:"""
    keep_daily: int = Field(default=7, ge=0)
    """Newest days of which a backup stays."""
    keep_weekly: int = Field(default=5, ge=0)
    """Newest weeks of which a backup stays."""
    keep_monthly: int = Field(default=12, ge=0)
    """Newest months of which a backup stays."""

"""What an account may do."""

from __future__ import annotations

from typing import Literal

Role = Literal["user", "admin"]
"""`admin` may also see who has an account."""

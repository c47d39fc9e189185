"""How people sign in, and for how long. Every command reads this: nothing heavy is imported."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from aura.settings import Section

Rate = Annotated[str, StringConstraints(pattern=r"^[1-9]\d*/(\d+ ?)?(second|minute|hour|day)s?$")]
"""A number per time, for example `20/minute` or `5/10 minutes`."""


class AccountsSettings(Section):
    """Passwords, tokens and limits of the accounts service."""

    bcrypt_cost: int = Field(default=12, ge=4, le=16)
    """Binary logarithm of bcrypt's rounds. A hash of another cost is replaced when its owner signs in."""
    waiting_passwords: int = Field(default=32, ge=1)
    """Passwords per worker that are hashed or wait for it; further ones are refused."""
    access_minutes: float = Field(default=10.0, gt=0, le=60)
    """Minutes that an access token is good for. Services check it alone, so it outlives a sign-out by as long."""
    page_hours: float = Field(default=8.0, gt=0, le=24)
    """Hours for which a browser that has signed in may open the operators' pages behind the gateway; less when the session
    ends."""
    session_days: float = Field(default=30.0, gt=0)
    """Days after a sign-in until the password is asked for again."""
    copies_days: int = Field(default=30, ge=0)
    """Days that the operator keeps backups and snapshots of nights at most: a deletion says that it is complete then."""
    max_garments: int = Field(default=2000, ge=1)
    """Garments per person."""
    max_conversations: int = Field(default=1000, ge=1)
    """Conversations per person."""
    max_messages: int = Field(default=2000, ge=1)
    """Messages per conversation."""
    feedback_per_day: int = Field(default=1000, ge=1)
    """Ratings and corrections per person in 24 hours."""
    attempts_per_address: Rate = "60/minute"
    """Passwords and registrations per network address."""
    attempts_per_name: Rate = "10/minute"
    """Passwords per account from an address that has signed in to it lately, and from all other addresses together: who guesses
    elsewhere uses up what the owner at home does not need."""

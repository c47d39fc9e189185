"""What an upgrade asks of every store: where it stands, who uses it, and to take the steps that are ahead."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a store stands.

    Attributes:
        stands: its version, for people.
        wanted: the version that this code wants.
        steps: what `migrate` would do, oldest first.
        refusal: why nothing may be upgraded until a person has done something; empty: nothing is wrong.
        advice: what is left to a person, with the command; it holds nothing up.
    """

    stands: str
    wanted: str
    steps: tuple[str, ...] = ()
    refusal: str = ""
    advice: str = ""


class Store(ABC):
    """A store of which an upgrade only says where it stands; one that it migrates has more to say.

    Attributes:
        name: for people, and for `--backed-up`.
        can_be_undone: whether nothing is lost by what `migrate` does.
        kept_as: name under which a backup has it (`Manifest.states`); empty: it lies where no backup of ours reaches.
    """

    name = ""
    can_be_undone = True
    kept_as = ""

    @abstractmethod
    def look(self) -> Standing:
        """Where it stands; changes nothing."""

    def migrate(self) -> None:  # noqa: B027 (a store without steps is not asked)
        """Take the steps that are ahead. A kill leaves the store as it was or at one of them, and another call goes on."""

    def users(self) -> list[str]:
        """Other processes that have it open, for people."""
        return []

    def state(self) -> str:
        """As a backup records it in `Manifest.states`: the same as long as nothing is written."""
        return ""

"""Looks at every store, and brings those that are behind up to date, one after the other.

Nothing is touched before everything is known to go: no store is newer than this code, nobody uses one that will change, and the
newest backup, read and compared with its hashes, is of what lies there now. A store takes all its steps at once, or steps of its
library's after each of which it goes on: a run that was killed is run again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from aura.errors import UpgradeError
from flows.backup.repository import Repository
from flows.upgrade.store import Standing, Store


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All stores, in the order in which they are upgraded, and what stands in the way.

    Attributes:
        refusals: why `run` does nothing, whatever backups there are.
        needs_backup: whether something ahead cannot be undone but by a backup of ours.
        backup: why the newest backup does not do; empty: it does, or none is needed.
    """

    stores: Sequence[tuple[Store, Standing]]
    refusals: Sequence[str]
    needs_backup: bool
    backup: str

    @property
    def ahead(self) -> list[tuple[Store, Standing]]:
        """Stores of which `run` would take steps."""
        return [(store, standing) for store, standing in self.stores if standing.steps]

    @property
    def advice(self) -> list[str]:
        """What is left to a person."""
        return [standing.advice for _, standing in self.stores if standing.advice]


def plan(stores: Sequence[Store], repository: Callable[[], Repository], copied: Collection[str] = ()) -> Plan:
    """Where all stores stand; changes nothing.

    Args:
        repository: opens that of the backups, if one is needed.
        copied: names of stores of which a person has made a copy, so that no backup of ours is asked for.
    """
    found = [(store, store.look()) for store in stores]
    changed = [store for store, standing in found if standing.steps and not store.can_be_undone]
    refusals = [standing.refusal for _, standing in found if standing.refusal]
    for store in changed:
        if users := store.users():
            refusals.append(f"{store.name} is in use by {', '.join(users)}: stop it first (`aura down`)")
        if not store.kept_as and store.name not in copied:
            refusals.append(
                f"no backup of ours holds {store.name}, as it lies elsewhere: copy it with its own tools, and say so with "
                f"`--backed-up {store.name}`"
            )
    needed = [store for store in changed if store.kept_as and store.name not in copied]
    return Plan(stores=found, refusals=refusals, needs_backup=bool(needed), backup=_lacking(needed, repository))


def _lacking(needed: Sequence[Store], repository: Callable[[], Repository]) -> str:
    """Why the newest backup does not do."""
    if not needed:
        return ""
    opened = repository()
    backups = opened.list()
    if not backups:
        return "there is no backup"
    recorded = opened.manifest(backups[0]).states
    changed = [store.name for store in needed if recorded.get(store.kept_as) != store.state()]
    return f"backup {backups[0].id} is older than the last change of {', '.join(changed)}" if changed else ""


def run(
    stores: Sequence[Store],
    repository: Callable[[], Repository],
    copied: Collection[str],
    say: Callable[[str], None],
) -> None:
    """Bring everything up to date; call it while no night can begin.

    Args:
        repository, copied: as `plan` takes them.
        say: takes what was done, for people.

    Raises:
        UpgradeError: names all that stands in the way; nothing was changed.
    """
    found = plan(stores, repository, copied)
    refusals = [*found.refusals]
    if found.backup:
        refusals.append(
            f"{found.backup}, and what is ahead cannot be undone: `aura upgrade run --backup` makes one first"
        )
    if refusals:
        raise UpgradeError(
            "nothing was upgraded:\n- " + "\n- ".join(refusals), hint="`aura upgrade check` shows all stores"
        )
    if found.needs_backup:
        opened = repository()
        opened.verify()
        say(f"backup {opened.list()[0].id} is what was written")
    for store in stores:
        standing = store.look()  # again: releases are read from a registry that was just migrated
        if standing.steps:
            store.migrate()
            say(f"{store.name}: {', '.join(standing.steps) if len(standing.steps) < 4 else _range(standing)}")
    after = [(store, store.look()) for store in stores]
    if left := [store.name for store, standing in after if standing.steps or standing.refusal]:
        raise UpgradeError(f"still not up to date: {', '.join(left)}", hint="`aura upgrade check` says how they stand")
    advice = [standing.advice for _, standing in after if standing.advice]
    for left_over in advice:
        say(f"left to you: {left_over}")
    say("everything else is up to date" if advice else "everything is up to date")


def _range(standing: Standing) -> str:
    return f"{len(standing.steps)} steps, from {standing.stands} to {standing.wanted}"

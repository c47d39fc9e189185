"""Outfits that people have saved, as training outfits of the outfit model.

They lie in a folder that this training alone reads, and only while it runs: no split that judges has them, and no snapshot.

    items.jsonl      `ItemRow`: garments of wardrobes, and those of the catalog that no prepared outfit holds
    outfits.jsonl    `OutfitRow`
    images/

Who has gone or allows it no longer is not in it: the database is asked at the moment of writing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from uuid import UUID

from aura.pictures import PictureError, read_picture
from aura.prepared_rows import CatalogRow, ItemRow, OutfitRow, iter_rows, write_rows
from bentos.accounts.pictures import Pictures
from dataprep.images import link_or_copy
from flows.feedback import FeedbackLine
from stores.database import Connection
from stores.feedback import allowed_by
from stores.wardrobe import OwnedGarment, Wardrobe

_FEWEST_GARMENTS = 2


@dataclass(frozen=True, kw_only=True)
class SavedOutfit:
    """An outfit that somebody has saved.

    Attributes:
        feedback_id: a later one is larger.
        items: ids as they were saved, of the catalog or of the person's wardrobe.
        owned: the garments of the wardrobe among them; `image` is a path of this machine.
    """

    feedback_id: int
    person: UUID
    items: tuple[str, ...]
    owned: Mapping[str, ItemRow]


@dataclass(frozen=True, kw_only=True)
class SavedCounts:
    """What the training gets of the saved outfits; `left_out`: outfits by the reason why it does not get them."""

    outfits: int
    people: int
    left_out: Mapping[str, int]

    def __str__(self) -> str:
        reasons = "".join(f"; {number} left out: {reason}" for reason, number in self.left_out.items())
        return f"{self.outfits} saved outfits of {self.people} people to train on{reasons}"


async def read_saved(connection: Connection, lines: Iterable[FeedbackLine], pictures: Pictures) -> list[SavedOutfit]:
    """The saved outfits among what nights have taken, of people who allow it now."""
    said = {line.id: line for line in lines if line.kind == "outfit" and line.said["verdict"] == "saved"}
    by_person: dict[UUID, list[int]] = defaultdict(list)
    for number, (person, taken_at) in (await allowed_by(connection, [*said])).items():
        if taken_at == said[number].taken_at:
            by_person[person].append(number)
    found = []
    for person, numbers in by_person.items():
        items = {number: tuple(dict.fromkeys(said[number].said["item_ids"])) for number in numbers}
        wardrobe = await Wardrobe(connection, person).some([*_uuids(chain.from_iterable(items.values()))])
        owned = {str(garment.id): _row(garment, person, pictures) for garment in wardrobe.values()}
        found += [
            SavedOutfit(
                feedback_id=number, person=person, items=ids,
                owned={item_id: owned[item_id] for item_id in ids if item_id in owned},
            )
            for number, ids in items.items()
        ]  # fmt: skip
    return found


def write_saved(
    saved: Sequence[SavedOutfit], data: Path, folder: Path, *, share: float, per_person: int
) -> SavedCounts:
    """Fill the emptied folder with what may be learnt of the saved outfits, the newest first.

    Args:
        data: prepared data.
        share: most outfits, as a share of the prepared training outfits.
        per_person: most outfits of one person.

    Raises:
        DataError: the prepared data is broken.
    """
    prepared = _Prepared(data)
    most = int(share * prepared.training_outfits)
    items: dict[str, ItemRow] = {}
    outfits: list[OutfitRow] = []
    known: set[frozenset[str]] = set()
    of_person: Counter[UUID] = Counter()
    left_out: Counter[str] = Counter()
    for outfit in sorted(saved, key=lambda outfit: outfit.feedback_id, reverse=True):
        rows = {
            item_id: row for item_id in outfit.items if (row := outfit.owned.get(item_id) or prepared.item(item_id))
        }
        if len(rows) < _FEWEST_GARMENTS:
            left_out["fewer than two garments that are known and not held out"] += 1
        elif prepared.holds_out_together(rows):
            left_out["a held-out outfit has two of the garments"] += 1
        elif frozenset(rows) in known:
            left_out["the same garments as another one"] += 1
        elif of_person[outfit.person] == per_person:
            left_out[f"more than {per_person} of one person"] += 1
        elif len(outfits) == most:
            left_out[f"more than {most} in all"] += 1
        else:
            known.add(frozenset(rows))
            of_person[outfit.person] += 1
            items |= rows
            name = f"saved-{outfit.feedback_id}"
            outfits.append(OutfitRow(outfit_id=name, group=name, items=tuple(rows)))
    write_rows(folder / "items.jsonl", _with_pictures(items, prepared, folder))
    write_rows(folder / "outfits.jsonl", outfits)
    return SavedCounts(outfits=len(outfits), people=len(of_person), left_out=dict(left_out))


class _Prepared:
    """What the prepared outfits and the catalog say of garments."""

    def __init__(self, data: Path) -> None:
        training = [*iter_rows(data / "outfits" / "train.jsonl", OutfitRow)]
        held_out = [
            outfit for split in ("val", "test") for outfit in iter_rows(data / "outfits" / f"{split}.jsonl", OutfitRow)
        ]
        self.training_outfits = len(training)
        trained = {item_id for outfit in training for item_id in outfit.items}
        self._held_out_with: dict[str, list[int]] = defaultdict(list)
        for number, outfit in enumerate(held_out):
            for item_id in outfit.items:
                self._held_out_with[item_id].append(number)
        # What no training has seen stays so: questions about garments that are new to the model are asked with these.
        unseen = self._held_out_with.keys() - trained
        rows: dict[str, ItemRow] = {}
        for row in iter_rows(data / "catalog" / "catalog.jsonl", CatalogRow):
            rows[row.item_id] = ItemRow(
                item_id=row.item_id, category=row.category, title=row.title, attributes=row.attributes,
                image=str(data / "catalog" / row.image),
            )  # fmt: skip
        self.of_outfits = {row.item_id: row for row in iter_rows(data / "outfits" / "items.jsonl", ItemRow)}
        self._rows = {item_id: row for item_id, row in (rows | self.of_outfits).items() if item_id not in unseen}

    def item(self, item_id: str) -> ItemRow | None:
        """A garment that may be trained on; None where it is unknown, or held-out outfits alone have it."""
        return self._rows.get(item_id)

    def holds_out_together(self, items: Iterable[str]) -> bool:
        """Whether some held-out outfit has two of these: a training on them would be told an answer."""
        outfits = Counter(number for item_id in items for number in self._held_out_with.get(item_id, ()))
        return any(count > 1 for count in outfits.values())


def _with_pictures(items: Mapping[str, ItemRow], prepared: _Prepared, folder: Path) -> Iterable[ItemRow]:
    """The garments that the prepared outfits lack, each picture linked into the folder."""
    (folder / "images").mkdir(parents=True)
    for number, (item_id, row) in enumerate(items.items()):
        if item_id in prepared.of_outfits:
            continue
        image = f"images/{number}{Path(row.image).suffix}" if row.image else None
        linked = row.image and image and _linked(Path(row.image), folder / image)
        yield row.model_copy(update={"image": image if linked else None})


def _linked(picture: Path, target: Path) -> bool:
    """False where a picture was lost or lies on another machine, which costs its garment the picture and no training."""
    try:
        read_picture(picture, picture.name, least_px=1)
        link_or_copy(picture, target)
    except (PictureError, FileNotFoundError):
        return False
    return True


def _row(garment: OwnedGarment, person: UUID, pictures: Pictures) -> ItemRow:
    image = pictures.path(person, garment.picture_hash) if garment.picture_hash else None
    return ItemRow(
        item_id=str(garment.id), category=garment.category, title=garment.title, image=str(image) if image else None
    )


def _uuids(texts: Iterable[str]) -> Iterable[UUID]:
    for text in texts:
        try:
            yield UUID(text)
        except ValueError:  # of the catalog
            continue

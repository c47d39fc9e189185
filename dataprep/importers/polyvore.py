"""Polyvore Outfits (Vasileva and others, ECCV 2018, arXiv 1803.09196): outfits, their garments, and published questions.

`data.imports.polyvore_split` says which of its two divisions is read: `nondisjoint`, or `disjoint`, whose splits share no
garment. Its own train, valid and test splits stay, and so do its fill-in-the-blank and compatibility questions (see
`aura.prepared_rows`). Rules. Refused: a missing layout, or more unusable garments than `max_bad_fraction`. Left out and counted:
a garment without a picture, without metadata, or of a category that is none of Aura's; an outfit with fewer than two garments
left; a question that names a garment that is left out. An outfit of more than twelve garments is cut to its first twelve: the
model takes no more.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError

from aura.errors import DataError
from aura.prepared_rows import CatalogRow, CompatibilityRow, FitbRow, ItemRow, Row, Split, write_rows
from aura.taxonomy import CATEGORIES, Category, category_of
from dataprep.images import link_or_copy, open_rgb, square
from dataprep.parallel import in_processes
from dataprep.raw_rows import RawOutfitRow
from dataprep.raw_source import ImportReport, check_layout, progress, writing
from dataprep.settings import DataSettings, ImportSettings
from inference.outfits.items import MAX_OUTFIT_ITEMS

_METADATA = "polyvore_item_metadata.json"
_SPLITS: dict[str, Split] = {"train": "train", "valid": "val", "test": "test"}
_AGAIN = "download the data set again: huggingface.co/datasets/mvasil/polyvore-outfits"


class _Item(BaseModel):
    """Metadata of a garment; `semantic_category` is one of eleven, or empty."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    title: str = ""
    url_name: str = ""
    description: str = ""
    semantic_category: str = ""


class _SetItem(BaseModel):
    """A garment of an outfit; questions name it by outfit and index."""

    item_id: str
    index: int


class _Set(BaseModel):
    set_id: str
    items: tuple[_SetItem, ...]


class _Blank(BaseModel):
    """A fill-in-the-blank question: the answer that is of the question's own outfit is right."""

    question: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True)
class _PictureWork:
    source: Path
    target: Path
    settings: ImportSettings


@dataclass
class _Outfits:
    """Outfits of one division by split, and the garment that each name in a question stands for."""

    by_split: dict[Split, list[_Set]]

    def item_of(self) -> dict[str, str]:
        """Item id by `<outfit>_<index>`."""
        return {
            f"{outfit.set_id}_{item.index}": item.item_id
            for outfits in self.by_split.values()
            for outfit in outfits
            for item in outfit.items
        }


def import_polyvore(path: Path, raw_dir: Path, settings: DataSettings) -> ImportReport:
    """Read the original layout below `path` into the raw folder `raw_dir`; an earlier import is replaced at the end.

    Raises:
        BusyError: another import or preparation is using the source.
        DataError: the layout is not there, or too many garments are unusable.
    """
    division = settings.imports.polyvore_split
    needed = [_METADATA, "images/", *(f"{division}/{name}.json" for name in _SPLITS)]
    check_layout(path, needed, f"{', '.join(needed)} (and questions beside the splits)")
    report = ImportReport(
        "polyvore", "see its page (access on request)", f"github.com/mvasil/fashion-compatibility ({division})"
    )
    outfits = _Outfits({split: _sets(path / division / f"{name}.json") for name, split in _SPLITS.items()})
    items = _items(path, outfits, report)
    with writing(raw_dir, report, settings.imports) as folder:
        for name in ("outfits", "catalog"):
            (folder / name / "images").mkdir(parents=True)
        kept = _store_pictures(path, items, folder, settings.imports, report)
        report.refuse_if_bad(len(items), settings.imports.max_bad_fraction)
        write_rows(folder / "outfits" / "items.jsonl", kept.values())
        rows = [*_outfit_rows(outfits, kept, report)]
        write_rows(folder / "outfits" / "outfits.jsonl", rows)
        questions = _write_questions(path / division, outfits.item_of(), kept, folder / "outfits", report)
        # What training and validation hold alone: an item of a test outfit in the catalog would be an answer given away.
        catalog = [*_catalog_rows(outfits, kept, items, folder)]
        write_rows(folder / "catalog" / "catalog.jsonl", catalog)
        report.counts = {"items": len(kept), "outfits": len(rows), "catalog": len(catalog), **questions}
        found = Counter(item.category for item in kept.values())
        report.categories = {category.value: found[category] for category in CATEGORIES}
    return report


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is not JSON in UTF-8 ({error}), or only a part of it", hint=_AGAIN) from error


def _sets(file: Path) -> list[_Set]:
    try:
        return [_Set.model_validate(row) for row in _read(file)]
    except (ValidationError, TypeError) as error:
        raise DataError(f"{file} is not a list of outfits with set_id and items: {error}", hint=_AGAIN) from error


def _items(path: Path, outfits: _Outfits, report: ImportReport) -> dict[str, _Item]:
    """Metadata of the garments that outfits are made of."""
    metadata = _read(path / _METADATA)
    if not isinstance(metadata, dict):
        raise DataError(f"{path / _METADATA} holds no object of garments by id", hint=_AGAIN)
    items: dict[str, _Item] = {}
    for item_id in dict.fromkeys(outfits.item_of().values()):
        if Path(item_id).name != item_id:
            raise DataError(f"{path} names a garment {item_id!r}, which is no file name", hint=_AGAIN)
        try:
            items[item_id] = _Item.model_validate(metadata.get(item_id))
        except ValidationError:
            items[item_id] = _Item()
            report.skip("garment has no metadata", item_id, whole_file=False)
    return items


def _category(item: _Item) -> Category | None:
    try:
        return category_of(item.semantic_category)
    except DataError:
        return None


def _store_pictures(
    path: Path, items: Mapping[str, _Item], folder: Path, settings: ImportSettings, report: ImportReport
) -> dict[str, ItemRow]:
    """Rows of the garments whose pictures are stored, by the data set's ids."""
    wanted = {item_id: category for item_id, item in items.items() if (category := _category(item))}
    for item_id in items.keys() - wanted.keys():
        report.skip("garment is of no category of Aura's", item_id, whole_file=True)
    work = [
        _PictureWork(
            path / "images" / f"{item_id}.jpg", folder / "outfits" / "images" / f"{_row_id(item_id)}.jpg", settings
        )
        for item_id in wanted
    ]
    problems = progress(in_processes(_store_picture, work, settings.workers), "Reading pictures", len(work))
    rows: dict[str, ItemRow] = {}
    for (item_id, category), problem in zip(wanted.items(), problems, strict=True):
        if problem:
            report.skip(problem, f"{item_id}.jpg", whole_file=True)
            continue
        title = " ".join((items[item_id].title or items[item_id].url_name).split()) or category.value
        rows[item_id] = ItemRow(
            item_id=_row_id(item_id), category=category, title=title[0].upper() + title[1:],
            image=f"images/{_row_id(item_id)}.jpg",
        )  # fmt: skip
    return rows


def _row_id(item_id: str) -> str:
    return f"v{item_id}"


def _store_picture(work: _PictureWork) -> str:
    """Store the picture as a square; a text says why it cannot be used."""
    if not work.source.is_file():
        return "garment has no picture"
    try:
        image: Image.Image = open_rgb(work.source, upright=True, draft_px=work.settings.item_px * 2)
    except DataError:
        return "picture is not readable"
    square(image, work.settings.item_px).save(work.target, quality=work.settings.jpeg_quality)
    return ""


def _outfit_rows(outfits: _Outfits, kept: Mapping[str, ItemRow], report: ImportReport) -> Iterator[RawOutfitRow]:
    for split, sets in outfits.by_split.items():
        for outfit in sets:
            items = dict.fromkeys(kept[item.item_id].item_id for item in outfit.items if item.item_id in kept)
            if len(items) < 2:
                report.skip("outfit has fewer than two garments left", outfit.set_id, whole_file=False)
                continue
            yield RawOutfitRow(
                outfit_id=f"polyvore-{outfit.set_id}", group=f"outfit-{outfit.set_id}", split=split,
                items=tuple(items)[:MAX_OUTFIT_ITEMS],
            )  # fmt: skip


def _catalog_rows(
    outfits: _Outfits, kept: Mapping[str, ItemRow], items: Mapping[str, _Item], folder: Path
) -> Iterator[CatalogRow]:
    held_out = {item.item_id for outfit in outfits.by_split["test"] for item in outfit.items}
    for item_id, row in kept.items():
        if item_id not in held_out:
            description = " ".join(items[item_id].description.split())
            link_or_copy(folder / "outfits" / str(row.image), folder / "catalog" / str(row.image))
            yield CatalogRow(**row.model_dump(), description=description or f"{row.title}.")


def _write_questions(
    division: Path, item_of: Mapping[str, str], kept: Mapping[str, ItemRow], out: Path, report: ImportReport
) -> dict[str, int]:
    """The published questions of validation and test, as rows; their counts by file."""
    counts: dict[str, int] = {}
    for name, split in _SPLITS.items():
        files: dict[str, tuple[Path, Sequence[Row | None]]] = {}
        blanks, pairs = division / f"fill_in_blank_{name}.json", division / f"compatibility_{name}.txt"
        if blanks.is_file():
            files["fitb"] = blanks, [_fitb_row(row, item_of, kept) for row in _read(blanks)]
        if pairs.is_file():
            with pairs.open(encoding="utf-8") as lines:
                files["compatibility"] = (
                    pairs,
                    [_compatibility_row(line, item_of, kept) for line in lines if line.strip()],
                )
        for kind, (file, rows) in files.items():
            asked = [row for row in rows if row is not None]
            for _ in range(len(rows) - len(asked)):
                report.skip("question names a garment that is left out", file.name, whole_file=False)
            counts[f"{kind}_{split}"] = write_rows(out / "questions" / f"{kind}_{split}.jsonl", asked)
    return counts


def _fitb_row(values: Any, item_of: Mapping[str, str], kept: Mapping[str, ItemRow]) -> FitbRow | None:
    """None when one of its garments is left out."""
    try:
        blank = _Blank.model_validate(values)
    except ValidationError as error:
        raise DataError(f"a fill-in-the-blank question has no question and answers: {error}", hint=_AGAIN) from error
    outfit = blank.question[0].rpartition("_")[0] if blank.question else ""
    right = [number for number, answer in enumerate(blank.answers) if answer.rpartition("_")[0] == outfit]
    context, answers = _rows_of(blank.question, item_of, kept), _rows_of(blank.answers, item_of, kept)
    if context is None or answers is None or len(right) != 1:
        return None
    return FitbRow(
        outfit_id=f"polyvore-{outfit}", context=tuple(row.item_id for row in context),
        candidates=tuple(row.item_id for row in answers), answer=right[0],
    )  # fmt: skip


def _compatibility_row(line: str, item_of: Mapping[str, str], kept: Mapping[str, ItemRow]) -> CompatibilityRow | None:
    """None when one of its garments is left out."""
    label, *names = line.split()
    if label not in ("0", "1"):
        raise DataError(f"a compatibility question begins with {label!r} instead of 0 or 1", hint=_AGAIN)
    rows = _rows_of(names, item_of, kept)
    return (
        None if rows is None else CompatibilityRow(items=tuple(row.item_id for row in rows), worn_together=label == "1")
    )


def _rows_of(names: Sequence[str], item_of: Mapping[str, str], kept: Mapping[str, ItemRow]) -> list[ItemRow] | None:
    rows = [kept.get(item_of.get(name, "")) for name in names]
    found = [row for row in rows if row is not None]
    return found if len(found) == len(rows) and found else None

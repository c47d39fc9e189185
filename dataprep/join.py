"""Tables of several raw sources joined into one: every row checked, every image linked, every group in one split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from aura.errors import DataError
from aura.prepared_rows import (
    SPLITS,
    BoxRow,
    CatalogRow,
    CompatibilityRow,
    DialogueRow,
    FitbRow,
    ImageRow,
    ItemRow,
    OutfitRow,
    Split,
    check_rows,
    good_rows,
    scan_rows,
    write_rows,
)
from aura.problems import Problems
from dataprep.coco import check_categories, read_coco, write_coco
from dataprep.images import link_or_copy, upright_size
from dataprep.importers import Table, sources_with
from dataprep.raw_rows import RawImageRow, RawOutfitRow, RawSplit
from dataprep.settings import DataSettings
from dataprep.splits import split_of

_BOX_SLACK_PX = 0.51
"""How far a box may reach over the edge of its photo: rounding to whole pixels on both sides."""
_IMPORT_AGAIN = "import the source again: aura data import"
_MAX_NAME_BYTES = 255
"""Of a file's name, in every common file system."""
_MIN_OUTFIT_ITEMS = 2
_MIN_PHOTOS, _MIN_BOXES = 2, 1
"""Per split of the detection set: a metric of less is undefined, or says nothing."""
_MORE_DATA = "import more data, or change data.split or data.split_seed"


@dataclass(frozen=True)
class RawSources:
    """The raw sources of a profile, and the problems found so far."""

    settings: DataSettings
    root: Path
    problems: Problems

    def having(self, table: Table) -> list[tuple[str, Path]]:
        """Names and folders of the sources that give a table.

        Raises:
            DataError: none of them does.
        """
        folders = [(source, self.root / source / table) for source in self.settings.sources]
        present = [(source, folder) for source, folder in folders if folder.is_dir()]
        if not present:
            raise DataError(
                f"no source of {self.settings.sources} has {table} data",
                hint=f"add a source that has (data.sources): {', '.join(sources_with(table))}",
            )
        return present

    def split_of(self, group: str, given: RawSplit | None) -> Split:
        return split_of(group, self.settings.split_seed, self.settings.split, given)


def join_detection(sources: RawSources, out: Path) -> dict[str, dict[str, int]]:
    """Photos with their boxes, renumbered: a COCO file per split."""
    images: dict[Split, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    boxes: dict[Split, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    (out / "images").mkdir(parents=True)
    photo_count = 0
    for source, folder in sources.having("detection"):
        rows, boxes_of = _photos(folder / "annotations.json", f"{source}/detection", sources.problems)
        for row in rows:
            photo_count += 1
            name, group = f"{source}-{row.file_name}", f"{source}/{row.group}"
            if not _link_image(
                folder / "images" / row.file_name, out / "images" / name, out / "images", f"{source}/detection",
                sources.problems, expected_size=(row.width, row.height),
            ):  # fmt: skip
                continue
            split = sources.split_of(group, row.split)
            images[split].append(
                row.model_dump(exclude={"split"}) | {"id": photo_count, "file_name": name, "group": group}
            )
            for box in boxes_of[row.id]:
                if not _inside(box, row):
                    sources.problems.add(
                        f"{source}/detection, image {row.file_name}", f"box {list(box.bbox)} is empty or outside"
                    )
                boxes[split].append(
                    box.model_dump() | {"id": len(boxes[split]) + 1, "image_id": photo_count, "bbox": list(box.bbox)}
                )
    for split in SPLITS:
        if len(images[split]) < _MIN_PHOTOS or len(boxes[split]) < _MIN_BOXES:
            sources.problems.add(
                f"detection, {split} split",
                f"{len(images[split])} photos with {len(boxes[split])} boxes; at least {_MIN_PHOTOS} photos and "
                f"{_MIN_BOXES} box are needed: {_MORE_DATA}",
            )
        write_coco(out / f"{split}.json", images[split], boxes[split])
    return {split: {"images": len(images[split]), "boxes": len(boxes[split])} for split in SPLITS}


def _photos(path: Path, where: str, problems: Problems) -> tuple[list[RawImageRow], dict[int, list[BoxRow]]]:
    """Photos of a COCO file, and the boxes of each by the photo's id."""
    tables = read_coco(path)
    check_categories(tables["categories"], where, problems)
    rows = [row for _, row in good_rows(check_rows(tables["images"], RawImageRow), f"{where}/images", problems)]
    problems.unique((row.id for row in rows), f"{where}/images")
    boxes_of: dict[int, list[BoxRow]] = {row.id: [] for row in rows}
    for _, box in good_rows(check_rows(tables["annotations"], BoxRow), f"{where}/annotations", problems):
        if box.image_id in boxes_of:
            boxes_of[box.image_id].append(box)
        else:
            problems.add(f"{where}/annotations, box {box.id}", f"no image {box.image_id}")
    return rows, boxes_of


def _inside(box: BoxRow, photo: ImageRow) -> bool:
    x, y, width, height = box.bbox
    return (
        width > 0
        and height > 0
        and min(x, y) >= -_BOX_SLACK_PX
        and x + width <= photo.width + _BOX_SLACK_PX
        and y + height <= photo.height + _BOX_SLACK_PX
    )


def join_outfits(sources: RawSources, out: Path) -> dict[str, int]:
    """Garments of all sources, and outfits of them in a file per split."""
    (out / "images").mkdir(parents=True)
    folders = sources.having("outfits")
    known: dict[str, set[str]] = {source: set() for source, _ in folders}
    counts = {"items": write_rows(out / "items.jsonl", _items(sources, folders, out, known))}
    outfits: dict[Split, list[OutfitRow]] = {split: [] for split in SPLITS}
    for source, folder in folders:
        where = f"{source}/outfits/outfits.jsonl"
        rows = scan_rows(folder / "outfits.jsonl", RawOutfitRow, _IMPORT_AGAIN)
        for number, outfit in good_rows(rows, where, sources.problems):
            if len(outfit.items) < _MIN_OUTFIT_ITEMS:
                sources.problems.add(
                    f"{where}, row {number}", f"items: fewer than {_MIN_OUTFIT_ITEMS} (got {list(outfit.items)})"
                )
                continue
            unknown = [item_id for item_id in outfit.items if item_id not in known[source]]
            if unknown:
                sources.problems.add(f"{where}, {outfit.outfit_id}", f"unknown items {', '.join(unknown)}")
            group = f"{source}/{outfit.group}"
            outfits[sources.split_of(group, outfit.split)].append(
                OutfitRow(outfit_id=outfit.outfit_id, group=group, items=outfit.items)
            )
    _refuse_empty_splits("outfits", outfits, _MORE_DATA, sources.problems)
    counts |= _questions(folders, out / "questions", "fitb", FitbRow, known, sources.problems)
    counts |= _questions(folders, out / "questions", "compatibility", CompatibilityRow, known, sources.problems)
    return counts | {split: write_rows(out / f"{split}.jsonl", outfits[split]) for split in SPLITS}


_QuestionType = TypeVar("_QuestionType", FitbRow, CompatibilityRow)


def _questions(
    folders: Sequence[tuple[str, Path]],
    out: Path,
    kind: str,
    schema: type[_QuestionType],
    known: Mapping[str, set[str]],
    problems: Problems,
) -> dict[str, int]:
    """Questions of a kind that sources publish about their own outfits, in a file per split; their counts by file."""
    counts: dict[str, int] = {}
    for split in SPLITS:
        name = f"{kind}_{split}"
        rows: list[_QuestionType] = []
        for source, folder in folders:
            file = folder / "questions" / f"{name}.jsonl"
            if not file.is_file():
                continue
            where = f"{source}/outfits/questions/{name}.jsonl"
            for number, row in good_rows(scan_rows(file, schema, _IMPORT_AGAIN), where, problems):
                unknown = [item for item in row.item_ids if item not in known[source]]
                if unknown:
                    problems.add(f"{where}, row {number}", f"unknown items {', '.join(unknown)}")
                rows.append(row)
        if rows:
            counts[name] = write_rows(out / f"{name}.jsonl", rows)
    return counts


def _items(
    sources: RawSources, folders: Iterable[tuple[str, Path]], out: Path, known: Mapping[str, set[str]]
) -> Iterator[ItemRow]:
    """Garments as they are read; `known` gets the ids of each source."""
    written: list[str] = []
    for source, folder in folders:
        where = f"{source}/outfits/items.jsonl"
        rows = scan_rows(folder / "items.jsonl", ItemRow, _IMPORT_AGAIN)
        for number, item in good_rows(rows, where, sources.problems):
            known[source].add(item.item_id)
            if not item.title or not item.image:
                sources.problems.add(f"{where}, row {number}", "title and image must not be empty")
            elif _link_image(folder / item.image, out / item.image, out / "images", where, sources.problems):
                written.append(item.item_id)
                yield item
    sources.problems.unique(written, "items of all sources")


def join_catalog(sources: RawSources, out: Path) -> dict[str, int]:
    """Catalog items of all sources in one file."""
    (out / "images").mkdir(parents=True)
    return {"items": write_rows(out / "catalog.jsonl", _catalog_items(sources, out))}


def _catalog_items(sources: RawSources, out: Path) -> Iterator[CatalogRow]:
    written: list[str] = []
    for source, folder in sources.having("catalog"):
        where = f"{source}/catalog/catalog.jsonl"
        rows = scan_rows(folder / "catalog.jsonl", CatalogRow, _IMPORT_AGAIN)
        for number, item in good_rows(rows, where, sources.problems):
            if not item.title or not item.description:
                sources.problems.add(f"{where}, row {number}", "title and description must not be empty")
            elif _link_image(folder / item.image, out / item.image, out / "images", where, sources.problems):
                written.append(item.item_id)
                yield item
    sources.problems.unique(written, "catalogs of all sources")


def join_dialogues(
    settings: DataSettings, knowledge_dir: Path, slugs: set[str], out: Path, problems: Problems
) -> dict[str, int]:
    """Conversations of all files in a file per split; `slugs` are the pages that they may be grounded in."""
    splits: dict[Split, list[DialogueRow]] = {split: [] for split in SPLITS}
    ids: list[str] = []
    questions: list[str] = []
    for file in sorted((knowledge_dir / "dialogues").glob("*.jsonl")):
        where = f"dialogues/{file.name}"
        for _, row in good_rows(scan_rows(file, DialogueRow), where, problems):
            roles = [message.role for message in row.messages]
            if roles != ["user", "assistant"] * (len(roles) // 2):
                problems.add(f"{where}, {row.id}", "turns must alternate, user first and assistant last")
            unknown = [slug for slug in row.documents if slug not in slugs]
            if unknown:
                problems.add(f"{where}, {row.id}", f"unknown pages {', '.join(unknown)}")
            ids.append(row.id)
            questions.append(row.messages[0].content.strip().lower())
            group = row.group or row.id
            split = split_of(group, settings.split_seed, settings.dialogue_split)
            splits[split].append(row.model_copy(update={"group": group}))
    problems.unique(ids, "dialogue ids")
    problems.unique(questions, "first questions of dialogues")
    _refuse_empty_splits("dialogues", splits, "write more, or change data.dialogue_split or data.split_seed", problems)
    return {split: write_rows(out / f"{split}.jsonl", rows) for split, rows in splits.items()}


def _refuse_empty_splits(what: str, splits: Mapping[Split, Sequence[object]], remedy: str, problems: Problems) -> None:
    """Collect splits without a row, unless there is none in any: a source may have photos alone."""
    if any(splits.values()):
        for split, rows in splits.items():
            if not rows:
                problems.add(f"{what}, {split} split", f"is empty: {remedy}")


def _link_image(
    source: Path, target: Path, images: Path, where: str, problems: Problems,
    expected_size: tuple[int, int] | None = None,
) -> bool:  # fmt: skip
    """Check an image and link or copy it; False, with a problem recorded, when it cannot be used."""
    if target.parent != images or len(target.name.encode()) > _MAX_NAME_BYTES:
        problems.add(
            where, f"{source.name[:80]!r} is not the name of a file in images/, of at most {_MAX_NAME_BYTES} bytes"
        )
        return False
    try:
        size = upright_size(source)
    except DataError as error:
        problems.add(where, error.message)
        return False
    if expected_size is not None and size != expected_size:
        problems.add(
            where,
            f"picture {source.name} has {size[0]} x {size[1]} pixels, "
            f"its row says {expected_size[0]} x {expected_size[1]}",
        )
        return False
    if not target.exists():
        link_or_copy(source, target)
    return True

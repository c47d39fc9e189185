"""Join the raw sources, check them, split them, and write the data that training reads: the `prepare` stage.

    python -m training.data.prepare --params params.yaml --out data

The output appears in one rename. Pictures are hard-linked where the file system can: raw folders are never written in
place, so nothing is copied twice.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from aura.artifact import content_hash, replace_dir, write_json
from aura.error_file import report_error
from aura.errors import AuraError, DataError
from aura.paths import home, repo_root
from aura.settings import read_profile, validate
from aura.supervision import die_with_parent
from aura.taxonomy import CATEGORIES, category_id
from inference.retrieval.chunks import read_pages
from inference.retrieval.judge import read_queries
from training.data.card import write_card
from training.data.raw import locked, read_note, read_rows, write_rows
from training.data.sample.source import write_sample
from training.data.schema import BoxRow, CatalogRow, DialogueRow, ImageRow, ItemRow, OutfitRow, Problems
from training.data.settings import DataSettings, ImportSettings, SourceName
from training.data.splits import SPLITS, split_of

_BOX_SLACK_PX = 0.51
_PATIENCE_SECONDS = 120.0
"""How long an import may hold a source."""


def prepare(settings: DataSettings, raw_root: Path, knowledge_dir: Path, out_dir: Path) -> dict[str, Any]:
    """Write the prepared data to `out_dir`; returns its counts.

    Raises:
        BusyError: a source is being imported.
        DataError: a source is missing, or lists every row that is wrong.
    """
    with ExitStack() as held:
        for source in sorted(settings.sources):
            held.enter_context(locked(raw_root / source, wait_seconds=_PATIENCE_SECONDS))
        if "sample" in settings.sources:
            write_sample(raw_root / "sample", settings.sample)
        return _prepare(settings, raw_root, knowledge_dir, out_dir)


def _prepare(settings: DataSettings, raw_root: Path, knowledge_dir: Path, out_dir: Path) -> dict[str, Any]:
    """The work, while nobody can replace a source."""
    notes = {source: read_note(raw_root / source) for source in settings.sources}
    _warn_of_other_imports(notes, settings.imports)
    building = out_dir.with_name(f".{out_dir.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    problems = Problems()
    counts: dict[str, Any] = {}
    counts["detection"] = _detection(settings, raw_root, building / "detection", problems)
    counts["outfits"] = _outfits(settings, raw_root, building / "outfits", problems)
    counts["catalog"] = _catalog(settings, raw_root, building / "catalog", problems)
    slugs = _knowledge(knowledge_dir, building / "knowledge")
    counts["knowledge"] = {"pages": len(slugs)}
    counts["chat"] = _chat(settings, knowledge_dir, slugs, building / "chat", problems)
    problems.raise_if_any("the raw data", hint="import the source again, or correct the rows named above")
    hashes = {part.name: content_hash(part) for part in sorted(building.iterdir())}
    write_card(building, settings, notes, counts, hashes)
    replace_dir(building, out_dir)
    return counts


def _warn_of_other_imports(notes: Mapping[SourceName, dict[str, Any]], imports: ImportSettings) -> None:
    """Say which of the settings of an import this profile sets and the imported source does not have."""
    wanted = imports.content_settings()
    for source, note in notes.items():
        had = note.get("settings", {}) if source != "sample" else {}
        differ = [
            f"{key}={had[key]} instead of {wanted[key]}" for key in wanted if key in had and had[key] != wanted[key]
        ]
        if differ:
            warnings.warn(
                f"{source} was imported with {', '.join(differ)}; `aura data import {source} PATH` with this profile "
                "brings it in step",
                stacklevel=2,
            )


def _detection(settings: DataSettings, raw_root: Path, out: Path, problems: Problems) -> dict[str, dict[str, int]]:
    images: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    boxes: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    (out / "images").mkdir(parents=True)
    number = 0
    for source in _having(settings, raw_root, "detection"):
        folder = raw_root / source / "detection"
        table = _read_coco(folder / "annotations.json")
        where = f"{source}/detection"
        rows = problems.rows(ImageRow, table["images"], f"{where}/images")
        problems.unique((row.id for row in rows), f"{where}/images")
        of_image: dict[int, list[BoxRow]] = {row.id: [] for row in rows}
        for box in problems.rows(BoxRow, table["annotations"], f"{where}/annotations"):
            if box.image_id in of_image:
                of_image[box.image_id].append(box)
            else:
                problems.add(f"{where}/annotations, box {box.id}", f"no image {box.image_id}")
        for row in rows:
            number += 1
            name = f"{source}-{row.file_name}"
            if not _take_picture(
                folder / "images" / row.file_name, out / "images" / name, (row.width, row.height), where, problems
            ):
                continue
            split = split_of(f"{source}/{row.group}", settings.split_seed, settings.split)
            images[split].append(row.model_dump() | {"id": number, "file_name": name, "group": f"{source}/{row.group}"})
            for box in of_image[row.id]:
                x, y, width, height = box.bbox
                inside = min(x, y) >= -_BOX_SLACK_PX and x + width <= row.width + _BOX_SLACK_PX
                if not (inside and y + height <= row.height + _BOX_SLACK_PX and width > 0 and height > 0):
                    problems.add(f"{where}, image {row.file_name}", f"box {list(box.bbox)} is empty or outside")
                boxes[split].append(box.model_dump() | {"image_id": number, "bbox": list(box.bbox)})
    categories = [{"id": category_id(category), "name": category.value} for category in CATEGORIES]
    for split in SPLITS:
        annotations = [box | {"id": place} for place, box in enumerate(boxes[split], start=1)]
        write_json(
            out / f"{split}.json", {"images": images[split], "annotations": annotations, "categories": categories}
        )
    return {split: {"images": len(images[split]), "boxes": len(boxes[split])} for split in SPLITS}


def _read_coco(path: Path) -> dict[str, list[Any]]:
    """Tables of a COCO file.

    Raises:
        DataError: the file is missing or lacks a table.
    """
    try:
        tables: dict[str, list[Any]] = json.loads(path.read_text(encoding="utf-8"))
        if all(isinstance(tables[name], list) for name in ("images", "annotations")):
            return tables
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"cannot read {path}: {error!r}", hint="import the source again: aura data import") from error
    raise DataError(f"{path} lacks its tables", hint="import the source again: aura data import")


def _outfits(settings: DataSettings, raw_root: Path, out: Path, problems: Problems) -> dict[str, Any]:
    (out / "images").mkdir(parents=True)
    items: list[dict[str, Any]] = []
    outfits: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for source in _having(settings, raw_root, "outfits"):
        folder = raw_root / source / "outfits"
        rows = problems.rows(ItemRow, read_rows(folder / "items.jsonl"), f"{source}/items")
        known = {row.item_id for row in rows}
        for row in rows:
            if _take_picture(folder / row.image, out / row.image, None, f"{source}/items", problems):
                items.append(row.model_dump(mode="json"))
        for outfit in problems.rows(OutfitRow, read_rows(folder / "outfits.jsonl"), f"{source}/outfits"):
            unknown = [item for item in outfit.items if item not in known]
            if unknown:
                problems.add(f"{source}/outfits, {outfit.outfit_id}", f"unknown items {', '.join(unknown)}")
            group = f"{source}/{outfit.group}"
            split = split_of(group, settings.split_seed, settings.split)
            outfits[split].append(outfit.model_dump() | {"group": group})
    problems.unique((item["item_id"] for item in items), "items of all sources")
    write_rows(out / "items.jsonl", items)
    for split in SPLITS:
        write_rows(out / f"{split}.jsonl", outfits[split])
    return {"items": len(items)} | {split: len(outfits[split]) for split in SPLITS}


def _catalog(settings: DataSettings, raw_root: Path, out: Path, problems: Problems) -> dict[str, int]:
    (out / "images").mkdir(parents=True)
    entries = []
    for source in _having(settings, raw_root, "catalog"):
        folder = raw_root / source / "catalog"
        for row in problems.rows(CatalogRow, read_rows(folder / "catalog.jsonl"), f"{source}/catalog"):
            if _take_picture(folder / row.image, out / row.image, None, f"{source}/catalog", problems):
                entries.append(row.model_dump(mode="json"))
    problems.unique((entry["item_id"] for entry in entries), "catalogs of all sources")
    write_rows(out / "catalog.jsonl", entries)
    return {"items": len(entries)}


def _knowledge(knowledge_dir: Path, out: Path) -> set[str]:
    """Copy pages and queries; the retrieval package checks both as it will when it builds the index."""
    pages = read_pages(knowledge_dir)
    slugs = {page.slug for page in pages}
    queries = read_queries(knowledge_dir / "queries", slugs)
    (out / "pages").mkdir(parents=True)
    for slug in sorted(slugs):
        shutil.copyfile(knowledge_dir / f"{slug}.md", out / "pages" / f"{slug}.md")
    write_rows(out / "queries.jsonl", [{"query": one.query, "relevant": list(one.relevant)} for one in queries])
    return slugs


def _chat(
    settings: DataSettings, knowledge_dir: Path, slugs: set[str], out: Path, problems: Problems
) -> dict[str, int]:
    out.mkdir(parents=True)
    splits: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    ids, questions = [], []
    for file in sorted((knowledge_dir / "dialogues").glob("*.jsonl")):
        for row in problems.rows(DialogueRow, read_rows(file), f"dialogues/{file.name}"):
            roles = [message.role for message in row.messages]
            if roles != ["user", "assistant"] * (len(roles) // 2):
                problems.add(f"dialogues/{file.name}, {row.id}", "turns must alternate, user first and assistant last")
            unknown = [slug for slug in row.documents if slug not in slugs]
            if unknown:
                problems.add(f"dialogues/{file.name}, {row.id}", f"unknown pages {', '.join(unknown)}")
            ids.append(row.id)
            questions.append(row.messages[0].content.strip().lower())
            split = split_of(row.id, settings.split_seed, settings.dialogue_split)
            splits[split].append(row.model_dump() | {"group": row.id})
    problems.unique(ids, "dialogue ids")
    problems.unique(questions, "first questions of dialogues")
    for split in SPLITS:
        write_rows(out / f"{split}.jsonl", splits[split])
    return {split: len(rows) for split, rows in splits.items()}


def _having(settings: DataSettings, raw_root: Path, part: str) -> list[SourceName]:
    """Sources that give a part.

    Raises:
        DataError: none of them does.
    """
    having = [source for source in settings.sources if (raw_root / source / part).is_dir()]
    if not having:
        raise DataError(
            f"no source of {settings.sources} has {part} data",
            hint="add a source that has: sample or ccp (data.sources)",
        )
    return having


def _take_picture(source: Path, target: Path, size: tuple[int, int] | None, where: str, problems: Problems) -> bool:
    """Link or copy a picture after a look at its header; False, with a problem noted, when it cannot be used."""
    try:
        with Image.open(source) as image:
            real = image.size
    except FileNotFoundError:
        problems.add(where, f"picture {source.name} is missing")
        return False
    except (OSError, UnidentifiedImageError):
        problems.add(where, f"picture {source.name} is not readable")
        return False
    if size is not None and real != size:
        problems.add(
            where, f"picture {source.name} has {real[0]} x {real[1]} pixels, its row says {size[0]} x {size[1]}"
        )
        return False
    if not target.exists():
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, target)
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.data.prepare", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--params", default="sample", help="profile name or YAML file")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--raw", type=Path, default=None, help="raw sources; default: raw/ in the home folder")
    options = parser.parse_args(arguments)
    die_with_parent()
    try:
        settings = validate(DataSettings, read_profile(options.params).get("data"), "data")
        counts = prepare(settings, options.raw or home() / "raw", repo_root() / "data" / "knowledge", options.out)
    except AuraError as error:
        return report_error(error)
    for part, numbers in counts.items():
        print(f"{part}: {numbers}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

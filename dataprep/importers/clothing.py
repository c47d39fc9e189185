"""Product-like photos of single garments with a class (the CC0 clothing data set): a catalog of real items.

The photos carry no boxes, and a garment rarely fills its photo, so they do not train the detector; nobody wears the
garments together, so they are no outfits. Rules. Refused: a missing layout, a wrong header, or more unusable rows than
`max_bad_fraction`. Left out and counted: a row that is incomplete or repeats a photo, a photo that is missing or
unreadable, a photo that no row names, a class that is not in the taxonomy or names no garment (`Not sure`, `Other`, `Skip`).
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from aura.errors import DataError
from aura.prepared_rows import CatalogRow, write_rows
from aura.taxonomy import CATEGORIES, IGNORED_LABELS, category_of
from dataprep.garments import with_article
from dataprep.images import files_by_stem, normalised, open_rgb, square
from dataprep.parallel import in_processes
from dataprep.raw_source import ImportReport, check_layout, progress, writing
from dataprep.settings import DataSettings, ImportSettings
from inference.colours import Colours
from inference.garment_colours import garment_colours

_COLUMNS = ("image", "sender_id", "label", "kids")
_SHAPE = "images.csv and images/*.jpg (or .png, .webp, .avif, .heic)"
_SHOP_NAMES = {
    "body": "bodysuit",
    "longsleeve": "long-sleeved top",
    "outwear": "jacket",
    "t-shirt": "T-shirt",
    "polo": "polo shirt",
}
"""What a shop calls a garment, where the class in the table has another name."""


@dataclass(frozen=True)
class _PhotoWork:
    source: Path | None
    target: Path
    settings: ImportSettings


def import_clothing(path: Path, raw_dir: Path, settings: DataSettings) -> ImportReport:
    """Read the original layout below `path` into the raw folder `raw_dir`; an earlier import is replaced at the end.

    Raises:
        BusyError: another import or preparation is using the source.
        DataError: the layout is not there, or too many rows are unusable.
    """
    check_layout(path, ("images.csv", "images/"), _SHAPE)
    report = ImportReport("clothing", "CC0", "github.com/alexeygrigorev/clothing-dataset")
    rows, total, named = _read_table(path / "images.csv", report)
    photos = files_by_stem(path / "images", report.skip_twin)
    for stem in sorted(photos.keys() - named):
        report.skip("photo has no row", photos[stem].name, whole_file=False)
    catalog: list[CatalogRow] = []
    with writing(raw_dir, report, settings.imports) as folder:
        (folder / "catalog" / "images").mkdir(parents=True)
        work = [
            _PhotoWork(
                photos.get(normalised(row["image"])),
                folder / "catalog" / "images" / f"{_item_id(row)}.jpg",
                settings.imports,
            )
            for row in rows
        ]
        results = progress(in_processes(_read_photo, work, settings.imports.workers), "Reading photos", len(work))
        for row, colours in zip(rows, results, strict=True):
            if isinstance(colours, str):
                report.skip(colours, f"{row['image']}.jpg", whole_file=True)
            else:
                catalog.append(_catalog_row(row, colours))
        report.refuse_if_bad(total, settings.imports.max_bad_fraction)
        write_rows(folder / "catalog" / "catalog.jsonl", catalog)
        found = Counter(item.category for item in catalog)
        report.counts = {"catalog": len(catalog)}
        report.categories = {category.value: found[category] for category in CATEGORIES}
    return report


def _read_table(file: Path, report: ImportReport) -> tuple[list[dict[str, str]], int, set[str]]:
    """Rows that name a garment, how many rows there are in all, and the photos that they name; the others are reported.

    Raises:
        DataError: not a table with the right header, or no row in it.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            header = list(reader.fieldnames or ())
            table = list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{file} is not a table in UTF-8 ({error})", hint="download the file again") from error
    missing = [column for column in _COLUMNS if column not in header]
    if missing:
        raise DataError(
            f"{file} lacks the columns {', '.join(missing)}; it has: {', '.join(header) or 'nothing'}",
            hint=f"the first line must be {','.join(_COLUMNS)}",
        )
    if not table:
        raise DataError(f"{file} has no rows", hint="download the file again")
    rows: list[dict[str, str]] = []
    seen: set[str] = set()
    for number, row in enumerate(table, start=2):
        name, label = (row["image"] or "").strip(), (row["label"] or "").strip().lower()
        if not name or not label or row["kids"] is None or Path(name).name != name:
            report.skip("row is incomplete", f"line {number}", whole_file=True)
        elif name in seen:
            report.skip("row repeats a photo", f"line {number}", whole_file=True)
        elif label in IGNORED_LABELS:
            report.skip(f"class {row['label']!r} names no garment", f"{name}.jpg", whole_file=False)
        elif not _is_known(label):
            report.skip(f"class {row['label']!r} is not in the taxonomy", f"{name}.jpg", whole_file=True)
        else:
            seen.add(name)
            rows.append({"image": name, "label": label, "kids": row["kids"].strip().lower()})
    return rows, len(table), {normalised((row["image"] or "").strip()) for row in table}


def _is_known(label: str) -> bool:
    try:
        category_of(label)
    except DataError:
        return False
    return True


def _item_id(row: dict[str, str]) -> str:
    return "p" + hashlib.sha256(f"clothing/{row['image']}".encode()).hexdigest()[:11]


def _catalog_row(row: dict[str, str], colours: Colours) -> CatalogRow:
    garment = _SHOP_NAMES.get(row["label"], row["label"])
    wearer = "children" if row["kids"] == "true" else "adults"
    title = f"{colours.text} {garment}"
    return CatalogRow(
        item_id=_item_id(row), category=category_of(row["label"]), title=title[0].upper() + title[1:],
        description=f"{with_article(garment, colours.text)} for {wearer}, photographed on its own.",
        attributes={"garment": row["label"], "wearer": wearer, **colours.attributes},
        image=f"images/{_item_id(row)}.jpg",
    )  # fmt: skip


def _read_photo(work: _PhotoWork) -> Colours | str:
    """Store the photo as a square and name its colours; a text says why it cannot be used."""
    if work.source is None:
        return "photo is missing"
    try:
        image = open_rgb(work.source, upright=True, draft_px=work.settings.item_px * 2)
    except DataError:
        return "photo is not readable"
    square(image, work.settings.item_px).save(work.target, quality=work.settings.jpeg_quality)
    return garment_colours(image)

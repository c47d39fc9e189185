"""Object detection sets of the hub, streamed: boxes for the detector, as `detection-datasets/fashionpedia` has them.

Layout: a column `image`, and a column `objects` with `bbox` and `category`, whose names are in the data set's features. Boxes
are `x, y, width, height` in some sets and two corners in others, and no set says which: only one of the two puts nearly all
boxes on their photos. Rules: as `dataprep.importers.coco`. Splits keep their names; there are no masks, so outfits and a catalog
must come from another source.

`hf:NAME@COMMIT` names a data set for good; without the commit, that of today is used and recorded. A folder that `datasets`
can load is read from the disk: `hf:./folder`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import datasets
from httpx2 import HTTPError
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled

from aura.errors import DataError, HubUnavailableError, SettingsError
from aura.paths import home
from dataprep.annotated_photo import AnnotatedPhoto, Annotation, Box, read_annotated
from dataprep.category_map import meanings_of, read_map
from dataprep.coco_layouts import Meaning
from dataprep.importers import Original, usage_of
from dataprep.photo_tables import PhotoTables
from dataprep.raw_rows import RawSplit
from dataprep.raw_source import ImportReport, progress, writing
from dataprep.settings import DataSettings
from dataprep.splits import splits_named
from inference.hub import hub_is_away
from inference.references import split_revision

SOURCE = "hf"
_INFO_SECONDS = 10.0
_LOOKED_AT = 200
"""Photos per split whose boxes tell how boxes are written."""
_LEAST_FIT = 0.98
"""Share of the boxes that lie on their photos in the right reading: every set has a few slips."""
_PER_OBJECT = ("bbox", "category")

Corners = Literal["xywh", "xyxy"]


@dataclass(frozen=True, kw_only=True)
class _Set:
    """A data set that can be streamed.

    Attributes:
        origin: name and commit.
        splits: rows by split's name; pictures are undecoded.
        names: of the categories, by their number.
    """

    origin: str
    licence: str
    splits: Mapping[str, Any]
    names: Sequence[str]


def import_hub(original: Original, raw_dir: Path, settings: DataSettings) -> ImportReport:
    """Stream a data set into the raw folder `raw_dir`; an earlier import is replaced at the end.

    Raises:
        BusyError: another import or preparation is using the source.
        HubUnavailableError: there is no network, or the hub does not answer.
        DataError: no such data set, another layout, or unknown categories (see `dataprep.category_map`).
        SettingsError: no name is given.
    """
    if not original.hub_name or original.paths:
        raise SettingsError(
            "a data set of the hub is given by its name alone", hint=f"aura data import {usage_of(SOURCE)}"
        )
    found = _open(original.hub_name)
    told = read_map(original.category_map) if original.category_map else {}
    meanings = meanings_of(dict.fromkeys(found.names, 0), told, found.origin, home() / "category-maps")
    report = ImportReport(SOURCE, found.licence, found.origin)
    tables = PhotoTables(SOURCE, "photo", "seen in a photo", settings.imports)
    total = 0
    with writing(raw_dir, report, settings.imports) as folder:
        tables.make_folders(folder)
        for (name, rows), split in zip(found.splits.items(), splits_named(list(found.splits)), strict=True):
            work = _photos(name, rows, found, meanings, settings, folder, report)
            for number, photo in enumerate(progress(work, f"Reading {name}", None)):
                total += 1
                _add(tables, photo, name, number, split, report)
        report.refuse_if_bad(total, settings.imports.max_bad_fraction)
        if not tables.annotations:
            raise DataError(
                f"{found.origin} shows no garment in {total} photos", hint="give another data set, or --map"
            )
        tables.write(folder)
        report.counts, report.categories = tables.counts(), tables.categories()
    return report


def _add(
    tables: PhotoTables, photo: AnnotatedPhoto, name: str, number: int, split: RawSplit | None, report: ImportReport
) -> None:
    if not photo.annotations:
        report.skip("photo shows no garment of Aura's", f"{name} {number}", whole_file=False)
        return
    result = read_annotated(photo)
    if result.problem:
        report.skip(result.problem, result.file, whole_file=True)
        return
    for reason in result.left_out:
        report.skip(reason, result.file, whole_file=False)
    tables.add(result, f"photo-{photo.name}", split)


def _open(reference: str) -> _Set:
    """The data set of a reference, with its categories; nothing but its first bytes is read."""
    licence = ""
    if Path(reference).expanduser().is_dir():
        name, revision, origin = str(Path(reference).expanduser()), None, Path(reference).name
    else:
        name, revision = split_revision(reference)
        info = _info(name, revision)
        if info.sha != revision:
            warnings.warn(
                f"{name} is at {info.sha} today; name it {name}@{info.sha} to get the same rows again", stacklevel=3
            )
        licence, revision = str((info.card_data or {}).get("license") or ""), info.sha
        origin = f"huggingface.co/datasets/{name}@{revision}"
    with _in_words(reference):
        splits = datasets.load_dataset(name, revision=revision, streaming=True)
    features = next(iter(splits.values())).features or {}
    names = _category_names(features)
    if "image" not in features or names is None:
        raise DataError(
            f"{reference} is no object detection set: its columns are {', '.join(features) or 'unknown'}",
            hint="a set has a column `image`, and `objects` with `bbox` and a `category` whose names its features hold",
        )
    undecoded = {name: rows.cast_column("image", datasets.Image(decode=False)) for name, rows in splits.items()}
    return _Set(origin=origin, licence=licence, splits=undecoded, names=names)


def _info(name: str, revision: str | None) -> Any:
    """What the hub says of a data set, asked once and briefly: `datasets` itself tries for minutes."""
    with _in_words(name):
        return HfApi().dataset_info(name, revision=revision, timeout=_INFO_SECONDS)


@contextmanager
def _in_words(reference: str) -> Iterator[None]:
    """Errors of the hub and of `datasets` in this project's words.

    Raises:
        HubUnavailableError: there is no network, or the hub does not answer.
        DataError: any other.
    """
    elsewhere = "download the data set elsewhere and import its folder: hf:./FOLDER"
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise HubUnavailableError(
            f"{reference} cannot be streamed: HF_HUB_OFFLINE forbids the hub", hint=f"unset it, or {elsewhere}"
        ) from error
    except GatedRepoError as error:
        raise DataError(
            f"{reference} is open to those alone who accept its licence",
            hint=f"accept it at huggingface.co/datasets/{reference}, then set HF_TOKEN",
        ) from error
    except (HfHubHTTPError, HTTPError, OSError, ValueError) as error:
        if hub_is_away(error):
            raise HubUnavailableError(
                f"{reference} cannot be streamed: the hub does not answer",
                hint=f"connect to the network, or {elsewhere}",
            ) from error
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{reference} is no data set that can be read: {reason}", hint=f"aura data import {usage_of(SOURCE)}"
        ) from error


def _category_names(features: Mapping[str, Any]) -> Sequence[str] | None:
    """Names in the `category` of `objects`, which is a struct of lists or a list of structs."""
    inner = features.get("objects")
    inner = getattr(inner, "feature", inner)
    category = inner.get("category") if isinstance(inner, dict) else None
    category = getattr(category, "feature", category)
    names = category.names if isinstance(category, datasets.ClassLabel) else None
    return names if isinstance(inner, dict) and "bbox" in inner else None


def _photos(
    split: str,
    rows: Any,
    found: _Set,
    meanings: Mapping[str, Meaning],
    settings: DataSettings,
    folder: Path,
    report: ImportReport,
) -> Iterator[AnnotatedPhoto]:
    """The photos of a split as they come."""
    with _in_words(found.origin):
        stream = iter(rows)
        ahead = [*islice(stream, _LOOKED_AT)]
        corners = corners_of(ahead, f"{found.origin}, {split}")
        for number, row in enumerate(islice(chain(ahead, stream), settings.imports.max_hub_photos)):
            annotations = []
            for box, category in _objects(row):
                meaning = meanings[found.names[category]]
                if meaning.category is None:
                    report.skip("annotation of a part, or of no garment", found.names[category], whole_file=False)
                else:
                    annotations.append(
                        Annotation(label=meaning.label, category=meaning.category, box_xywh_px=_xywh(box, corners))
                    )
            picture = row["image"]
            yield AnnotatedPhoto(
                source=SOURCE, photo=picture["bytes"] or Path(picture["path"]), file=f"{split} {number}",
                name=f"{split}-{row.get('image_id', number)}-{number:06d}", annotated_px=_size(row),
                annotations=tuple(annotations), folder=folder, settings=settings.imports,
            )  # fmt: skip


def _objects(row: Mapping[str, Any]) -> list[tuple[Box, int]]:
    """Box and number of the category of each object, whichever way the objects are nested."""
    objects = row["objects"]
    if isinstance(objects, Mapping):
        return [(tuple(box), category) for box, category in zip(*(objects[key] for key in _PER_OBJECT), strict=True)]
    return [(tuple(found["bbox"]), found["category"]) for found in objects]


def _size(row: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = row.get("width"), row.get("height")
    return (int(width), int(height)) if width and height else None


def _xywh(box: Box, corners: Corners) -> Box:
    return box if corners == "xywh" else (box[0], box[1], box[2] - box[0], box[3] - box[1])


def corners_of(rows: Sequence[Mapping[str, Any]], where: str) -> Corners:
    """How the boxes of some photos are written.

    Raises:
        DataError: neither reading puts them on their photos, or both do.
    """
    fitting = {"xywh": 0, "xyxy": 0}
    boxes = [(box, size) for row in rows if (size := _size(row)) for box, _ in _objects(row)]
    for (a, b, c, d), (width, height) in boxes:
        fitting["xywh"] += c > 0 and d > 0 and a + c <= width + 1 and b + d <= height + 1
        fitting["xyxy"] += c > a and d > b and c <= width + 1 and d <= height + 1
    right: list[Corners] = [name for name in ("xywh", "xyxy") if boxes and fitting[name] >= _LEAST_FIT * len(boxes)]
    if len(right) != 1:
        raise DataError(
            f"the boxes of {where} do not tell whether they are corners or a corner and a size ({len(boxes)} boxes of known "
            f"photos, {fitting['xywh']} fit as x, y, width, height and {fitting['xyxy']} as two corners)",
            hint="bring the data set into COCO format and import that: aura data import coco",
        )
    return right[0]

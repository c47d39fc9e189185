"""Clothing Co-Parsing street photos (Yang, Luo and Lin, CVPR 2014): boxes, outfits and catalog items from pixel labels.

Rules. Refused: a missing layout, an unreadable list of labels, or more unusable photos than `max_bad_fraction`. Left out
and counted: a photo without a mask or a mask without a photo, an unreadable photo or mask, a mask whose size differs from
its photo, a second file that differs in the end of its name only; within a photo, a label that is not in the taxonomy or
not in the list, and a garment that is a speck. A photo with few garments trains the detector but is no outfit; a cut-out of a
few pixels is part of an outfit but no catalog item.
"""

from __future__ import annotations

from pathlib import Path

from aura.errors import DataError
from dataprep.garments import PhotoWork, read_photo
from dataprep.images import files_by_stem
from dataprep.matlab import read_texts
from dataprep.parallel import in_processes
from dataprep.photo_tables import PhotoTables
from dataprep.raw_source import ImportReport, check_layout, progress, writing
from dataprep.settings import DataSettings

_LABELS, _MASKS, _PHOTOS = "label_list.mat", "annotations/pixel-level/", "photos/"
_SHAPE = "photos/*.jpg (or .png, .webp, .avif, .heic), annotations/pixel-level/*.mat and label_list.mat"


def import_ccp(path: Path, raw_dir: Path, settings: DataSettings) -> ImportReport:
    """Read the original layout below `path` into the raw folder `raw_dir`; an earlier import is replaced at the end.

    Raises:
        BusyError: another import or preparation is using the source.
        DataError: the layout is not there, or too many photos are unusable.
    """
    check_layout(path, (_LABELS, _MASKS, _PHOTOS), _SHAPE)
    labels = _read_labels(path / _LABELS)
    report = ImportReport("ccp", "Apache-2.0", "github.com/bearpaw/clothing-co-parsing")
    pairs, total = _pairs(path, report)
    tables = PhotoTables("ccp", "street", "seen on the street", settings.imports)
    with writing(raw_dir, report, settings.imports) as folder:
        tables.make_folders(folder)
        work = [
            PhotoWork(photo=photo, mask=mask, labels=labels, folder=folder, settings=settings.imports)
            for photo, mask in pairs
        ]
        for photo in progress(in_processes(read_photo, work, settings.imports.workers), "Reading photos", len(work)):
            if photo.problem:
                report.skip(photo.problem, photo.file, whole_file=True)
                continue
            for reason in photo.left_out:
                report.skip(reason, photo.file, whole_file=False)
            tables.add(photo, f"photo-{photo.name}")
        report.refuse_if_bad(total, settings.imports.max_bad_fraction)
        tables.write(folder)
        report.counts, report.categories = tables.counts(), tables.categories()
    return report


def _pairs(path: Path, report: ImportReport) -> tuple[list[tuple[Path, Path]], int]:
    """Photos with their masks, and how many photos and masks there are in all; those without a counterpart are reported.

    Raises:
        DataError: there are no photos, or no masks at all.
    """
    photos = files_by_stem(path / _PHOTOS, report.skip_twin)
    masks = files_by_stem(path / _MASKS, report.skip_twin, (".mat",))
    if not photos or not masks:
        raise DataError(
            f"{path} holds {len(photos)} photos (*.jpg and others) and {len(masks)} masks (*.mat)",
            hint=f"give the folder that has {_SHAPE}",
        )
    for stem in sorted(photos.keys() - masks.keys()):
        report.skip("photo has no mask", photos[stem].name, whole_file=True)
    for stem in sorted(masks.keys() - photos.keys()):
        report.skip("mask has no photo", masks[stem].name, whole_file=True)
    return [(photos[stem], masks[stem]) for stem in photos if stem in masks], len(photos.keys() | masks.keys())


def _read_labels(file: Path) -> tuple[str, ...]:
    """Label names; the index in the list is the value in the masks.

    Raises:
        DataError: the file holds no list of labels.
    """
    try:
        labels = tuple(text.strip().lower() for text in read_texts(file, "label_list"))
    except DataError as error:
        raise DataError(f"{file} is not a list of labels: {error.message}", hint="download the file again") from error
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise DataError(f"{file} lists {len(labels)} labels, or a label twice", hint="download the file again")
    return labels

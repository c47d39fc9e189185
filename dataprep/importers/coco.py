"""Any detection or segmentation set in COCO format: boxes; outfits and catalog items too where objects have masks.

What the categories are to Aura: `dataprep.category_map`. What one photo gives: `dataprep.annotated_photo`. Rules. Refused, before
anything is written: categories that nobody knows, a `file_name` that leads out of the folder of images, photos of which none is
there, a file without garments, or more unusable photos or annotations than `max_bad_fraction`. Left out and counted: a photo
without annotations (nobody says that it shows no garment), a missing, unreadable or repeated photo, one of another shape than
its row says; of a photo, regions of many objects (`iscrowd`), parts of garments, objects without a box on the photo, specks.

Several files may be given, each with its folder of images. When their names say train and val or test, the photos stay in those
splits: the last named of test and val is what models are compared on, and where only one of the two is there, the hash takes
validation photos out of the training ones. Photos that show one pair of DeepFashion2 stay in one split.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aura.errors import DataError, SettingsError
from aura.paths import home
from dataprep.annotated_photo import AnnotatedPhoto, Annotation, read_annotated
from dataprep.category_map import meanings_of, read_map
from dataprep.coco_file import CocoFile, CocoImage, CocoObject, details_of, read_coco_file
from dataprep.coco_layouts import LAYOUTS, Meaning, layout_of
from dataprep.images import stored_name
from dataprep.importers import Original
from dataprep.parallel import in_processes
from dataprep.photo_tables import PhotoTables
from dataprep.raw_rows import RawSplit
from dataprep.raw_source import ImportReport, progress, writing
from dataprep.settings import DataSettings
from dataprep.splits import splits_named

SOURCE = "coco"
_USAGE = "give ANNOTATIONS IMAGES: a JSON file and the folder that its file names are in; several pairs may follow"


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """An annotation file with its images.

    Attributes:
        meanings: by name of the category.
        split: that its photos stay in; None: the hash decides.
    """

    file: CocoFile
    images: Path
    meanings: Mapping[str, Meaning]
    split: RawSplit | None


@dataclass(frozen=True, kw_only=True)
class _Photo:
    pair: _Pair
    image: CocoImage
    group: str


def import_coco(original: Original, raw_dir: Path, settings: DataSettings) -> ImportReport:
    """Read annotation files with their images into the raw folder `raw_dir`; an earlier import is replaced at the end.

    Raises:
        BusyError: another import or preparation is using the source.
        DataError: see the module's docstring.
        SettingsError: not pairs of a file and a folder.
    """
    report = ImportReport(SOURCE, "", "")
    pairs = _read(original, report, settings)
    photos = [*_photos(pairs, report)]
    total = len(photos) + report.unusable
    _refuse_without_photos(photos)
    _describe(report, pairs)
    tables = PhotoTables(SOURCE, "photo", "seen in a photo", settings.imports)
    with writing(raw_dir, report, settings.imports) as folder:
        tables.make_folders(folder)
        work = [_work(photo, folder, settings, report) for photo in photos]
        results = progress(in_processes(read_annotated, work, settings.imports.workers), "Reading photos", len(work))
        for photo, result in zip(photos, results, strict=True):
            if result.problem:
                report.skip(result.problem, result.file, whole_file=True)
                continue
            for reason in result.left_out:
                report.skip(reason, result.file, whole_file=False)
            tables.add(result, photo.group, photo.pair.split)
        report.refuse_if_bad(total, settings.imports.max_bad_fraction)
        tables.write(folder)
        report.counts, report.categories = tables.counts(), tables.categories()
    return report


def _read(original: Original, report: ImportReport, settings: DataSettings) -> list[_Pair]:
    """The annotation files, each with its images, what its categories are, and its split."""
    paths = original.paths
    if not paths or len(paths) % 2:
        raise SettingsError(f"COCO files come with their images, and {len(paths)} paths are no pairs", hint=_USAGE)
    told = read_map(original.category_map) if original.category_map else {}
    files = list(zip(paths[::2], paths[1::2], strict=True))
    for listed, images in files:
        if listed.is_dir() or not images.is_dir():
            raise SettingsError(f"{listed} and {images} are not a file and the folder of its images", hint=_USAGE)
    splits = splits_named([listed.stem for listed, _ in files])
    pairs = []
    for (listed, images), split in zip(files, splits, strict=True):
        file = read_coco_file(listed, report, settings.imports.max_bad_fraction)
        counts = Counter(file.categories[found.category_id] for row in file.objects.values() for found in row)
        meanings = meanings_of(counts, told, listed.name, home() / "category-maps") if counts else {}
        if not any(meaning.category for meaning in meanings.values()):
            raise DataError(
                f"{listed} annotates no garment in {len(file.images)} images",
                hint="give a file with annotations (public test sets often have none), or another --map",
            )
        pairs.append(_Pair(file=file, images=images, meanings=meanings, split=split))
    return pairs


def _photos(pairs: Sequence[_Pair], report: ImportReport) -> Iterator[_Photo]:
    """Photos with annotations, each file once.

    Raises:
        DataError: a file name leads out of the folder of images.
    """
    seen: set[Path] = set()
    for pair in pairs:
        for image in pair.file.images:
            if image.path.is_absolute() or ".." in image.path.parts or "\0" in image.file_name:
                raise DataError(
                    f"{pair.file.path} names {image.file_name!r}, which is not below the folder of images",
                    hint="correct the file, or do not trust it: a file name may not lead out of that folder",
                )
            place = pair.images / image.path
            if image.id not in pair.file.objects:
                report.skip("photo has no annotation", image.file_name, whole_file=False)
            elif place in seen:
                report.skip("photo is named twice", image.file_name, whole_file=True)
            else:
                seen.add(place)
                pair_ids = [found.pair_id for found in pair.file.objects[image.id] if found.pair_id is not None]
                of_pair = f"pair-{pair.file.path.stem}-{min(map(str, pair_ids))}" if pair_ids else ""
                yield _Photo(pair=pair, image=image, group=of_pair or f"photo-{_name(pair, image)}")


def _name(pair: _Pair, image: CocoImage) -> str:
    """What the photo's copies and rows are called: file names of two folders may be the same."""
    digest = hashlib.sha256(f"{pair.file.path.name}/{image.path}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{stored_name(image.path.stem)}-{digest[:8]}"


def _refuse_without_photos(photos: Sequence[_Photo]) -> None:
    for pair in dict.fromkeys(id(photo.pair) for photo in photos):
        of_pair = [photo for photo in photos if id(photo.pair) == pair]
        if not any((photo.pair.images / photo.image.path).is_file() for photo in of_pair):
            first = of_pair[0]
            raise DataError(
                f"none of the {len(of_pair)} photos of {first.pair.file.path} is there; the first would be "
                f"{first.pair.images / first.image.path}",
                hint="give the folder that the file names begin in",
            )


def _describe(report: ImportReport, pairs: Sequence[_Pair]) -> None:
    """Licence and origin of the data, as far as its categories tell what it is."""
    layouts = [layout_of(pair.meanings) for pair in pairs]
    known = [layout for layout in LAYOUTS if layout in layouts]
    unknown = [pair.file.path.name for pair, layout in zip(pairs, layouts, strict=True) if layout is None]
    report.licence = "; ".join(
        [*(f"{layout.name}: {layout.licence}" for layout in known), *["your own"] * bool(unknown)]
    )
    report.origin = ", ".join([*(layout.origin for layout in known), *unknown])


def _work(photo: _Photo, folder: Path, settings: DataSettings, report: ImportReport) -> AnnotatedPhoto:
    pair, image = photo.pair, photo.image
    annotations = []
    for found in pair.file.objects[image.id]:
        name = pair.file.categories[found.category_id]
        annotation = _annotation(found, pair.meanings[name], pair.file)
        if annotation is None:
            report.skip("annotation of a part, or of no garment", name, whole_file=False)
        elif found.iscrowd:
            report.skip("region of several garments (iscrowd)", image.file_name, whole_file=False)
        else:
            annotations.append(annotation)
    return AnnotatedPhoto(
        source=SOURCE, photo=pair.images / image.path, file=image.file_name, name=_name(pair, image),
        annotated_px=image.size_px, annotations=tuple(annotations), folder=folder, settings=settings.imports,
    )  # fmt: skip


def _annotation(found: CocoObject, meaning: Meaning, file: CocoFile) -> Annotation | None:
    if meaning.category is None:
        return None
    return Annotation(
        label=meaning.label, category=meaning.category, box_xywh_px=found.bbox, segmentation=found.segmentation or None,
        area_px=found.area if found.area and found.area > 0 else 0.0, details=details_of(found, file.attributes),
    )  # fmt: skip

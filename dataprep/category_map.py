"""What the categories of a foreign data set are to Aura: known by name, told by a person's map, or proposed to a person.

A map is a YAML file with a line per category of the data set:

    tee shirt: tops
    mannequin: null        # no garment: left out
    sarong: decide         # nobody knows yet: such a map is refused

Names are known in this order: the map, a known layout (`dataprep.coco_layouts`), Aura's own table (`aura.taxonomy`). A
proposal guesses what is left: by the last word of the name that the table knows, else by the label whose sentence embedding is
nearest. It is written for a person to read; nothing is imported by a guess.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import yaml

from aura.artifact import write_text
from aura.errors import DataError
from aura.lineage import value_hash
from aura.taxonomy import CATEGORIES, IGNORED_LABELS, Category, category_of, fine_labels
from dataprep.coco_layouts import LAYOUTS, Meaning, layout_of, plain_name
from inference.references import TEXT_EMBEDDER_REFERENCE
from inference.text_embedding import text_embedder_for

DECIDE = "decide"
_LEAST_COSINE = 0.6
"""Of a label's embedding, for a guess. Below it all-MiniLM-L6-v2 puts many a thing that is no garment near one."""
_MANY_MEANINGS = frozenset({"body", "bodys", "intimate", "intimates"})
"""Labels of garments that are words for something else in any other data set."""
_CHOICES = ", ".join(category.value for category in CATEGORIES)


def read_map(file: Path) -> dict[str, Category | None]:
    """Category by `plain_name`; None: left out.

    Raises:
        DataError: no YAML mapping of names to categories, or a line still says `decide`; lists every such line.
    """
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"cannot read the category map {file}: {reason}", hint="give a YAML file: --map FILE"
        ) from error
    if not isinstance(values, dict) or not values:
        raise DataError(f"{file} maps no categories", hint=f"write a line `name: category` for each; known: {_CHOICES}")
    meanings: dict[str, Category | None] = {}
    wrong: list[str] = []
    for name, value in values.items():
        if value is None or value in CATEGORIES:
            meanings[plain_name(str(name))] = None if value is None else Category(value)
        else:
            wrong.append(f"{name}: {value}")
    if wrong:
        raise DataError(
            f"{len(wrong)} lines of the category map {file} name no category: {'; '.join(wrong)}",
            hint=f"write null to leave a category out, or one of: {_CHOICES}",
        )
    return meanings


def meanings_of(
    counts: Mapping[str, int], told: Mapping[str, Category | None], source: str, proposals: Path
) -> dict[str, Meaning]:
    """What each category of a data set is, by its own name.

    Args:
        counts: annotations by name of the category, 0 where nobody has counted; only these need a meaning.
        told: a person's map; see `read_map`.
        source: the data set in words, for the proposal.
        proposals: folder that a proposal is written into.

    Raises:
        DataError: the meaning of some is unknown; a proposal of a map is written, and named.
    """
    layout = layout_of(counts)
    meanings: dict[str, Meaning] = {}
    for name in counts:
        known = layout.meanings[plain_name(name)] if layout else _in_table(name)
        if plain_name(name) in told:
            known = Meaning(known.label if known else plain_name(name), told[plain_name(name)])
        if known:
            meanings[name] = known
    unknown = [name for name in counts if name not in meanings]
    if unknown:
        file = _write_proposal(counts, meanings, unknown, source, proposals)
        raise DataError(
            f"{len(unknown)} of the {len(counts)} categories of {source} are unknown: {', '.join(map(repr, unknown))}",
            hint=f"correct the proposal in {file} and import again with --map {file}",
        )
    return meanings


def _in_table(name: str) -> Meaning | None:
    """The meaning of a name that Aura's own table has."""
    plain = plain_name(name)
    if plain in IGNORED_LABELS:
        return Meaning(plain, None)
    for spelling in (plain, plain.replace(" ", "-")):
        try:
            return Meaning(plain, category_of(spelling))
        except DataError:
            continue
    return None


def _write_proposal(
    counts: Mapping[str, int], known: Mapping[str, Meaning], unknown: Sequence[str], source: str, folder: Path
) -> Path:
    """Write a proposal, unless there is one for these categories already, which a person may be at work on."""
    file = folder / f"categories-{value_hash(sorted(counts))[:8]}.yaml"
    if file.exists():
        return file
    guesses = propose(unknown)
    lines = [
        f"# Categories of {' '.join(source.split())}, and what they are to Aura: {_CHOICES};",
        f"# null: leave it out; {DECIDE}: no guess, yours to say. Check the guesses, then: --map {file}",
    ]
    for name, count in counts.items():
        value: str | None = guesses.get(name, DECIDE)
        if name in known:
            category = known[name].category
            value = category.value if category else None
        line = yaml.safe_dump({name: value}, allow_unicode=True, width=10_000).strip()
        notes = [f"{count} annotations"] * bool(count) + ["guessed"] * (name in guesses)
        lines.append(f"{line}  # {', '.join(notes)}" if notes else line)
    write_text(file, "\n".join(lines) + "\n")
    return file


def propose(names: Collection[str]) -> dict[str, str]:
    """Guessed categories by name; a name without a guess is missing."""
    words = _known_words()
    guesses: dict[str, str] = {}
    for name in names:
        # The last word says what it is: a shirt dress is a dress, a dress shirt a shirt.
        known = [words[word] for word in plain_name(name).replace(",", " ").split() if word in words]
        if known:
            guesses[name] = known[-1].value
    rest = [name for name in names if name not in guesses]
    if rest:
        labels = list(words)
        embedder = text_embedder_for(TEXT_EMBEDDER_REFERENCE)
        cosines = embedder.encode([plain_name(name) for name in rest]) @ embedder.encode(labels).T
        for name, row in zip(rest, cosines, strict=True):
            if row.max() >= _LEAST_COSINE:
                guesses[name] = words[labels[int(row.argmax())]].value
    return guesses


def _known_words() -> dict[str, Category]:
    """Single words with one category: labels of the taxonomy and of the known layouts, also without their plural's s."""
    known = {label: category for category, labels in fine_labels().items() for label in labels}
    for layout in LAYOUTS:
        for name, meaning in layout.meanings.items():
            if meaning.category and name.isalpha():
                known.setdefault(name, meaning.category)
    singular = {label.removesuffix("s"): category for label, category in known.items() if not label.endswith("ss")}
    plural = {f"{label}s": category for label, category in known.items() if not label.endswith("s")}
    return {word: category for word, category in (plural | singular | known).items() if word not in _MANY_MEANINGS}

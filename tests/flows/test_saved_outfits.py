"""Saved outfits, from the database to the training: of whom allows it, as many as the settings say, never a held-out one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from PIL import Image

from aura.artifact import read_json
from aura.paths import profile_paths
from aura.prepared_rows import CatalogRow, ItemRow, OutfitRow, write_rows
from aura.taxonomy import Category
from aura.tracking import TrackingSettings
from bentos.accounts.pictures import Pictures, jpeg
from flows.feedback import read_lines
from flows.profile import load_profile
from flows.saved_outfits import SavedCounts, SavedOutfit, read_saved, write_saved
from flows.stages import run_stage
from flows.workspace import SAVED_OUTFITS, Workspace
from stores.database import Connection
from stores.encryption import TextCipher
from stores.feedback import FeedbackOf
from stores.users import Users
from stores.wardrobe import NewGarment, Wardrobe
from tests.flows.test_feedback_of_nights import run, taken
from tests.training.outfits.conftest import quick_settings, write_outfits
from training.outfits import data as outfits_data
from training.outfits import train as outfits_train
from training.outfits.spec import SPEC
from training.settings import RunSettings
from training.train import Folders
from training.train import run as train

SHOE = "shoes-red-0"
"""In training outfits as well as in others."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared outfits, and a catalog with a bag that none of them holds."""
    data = write_outfits(tmp_path_factory.mktemp("data"))
    (data / "catalog" / "images").mkdir(parents=True)
    Image.new("RGB", (20, 20), "red").save(data / "catalog" / "images" / "bag.png")
    bag = CatalogRow(
        item_id="bag",
        category=Category.BAGS,
        title="Red bag",
        attributes={},
        description="A bag.",
        image="images/bag.png",
    )
    write_rows(data / "catalog" / "catalog.jsonl", [bag])
    return data


class Platform:
    """The database with its pictures, and what a night writes of them."""

    def __init__(self, url: str, folder: Path, data: Path) -> None:
        self.url, self._data = url, data
        self.cipher, self.pictures = TextCipher(folder / "keys"), Pictures(folder / "pictures")
        self.file, self.folder = folder / "feedback.jsonl", folder / "outfits"

    def person(self, name: str, *, allows: bool = True) -> UUID:
        async def add(connection: Connection) -> UUID:
            user = await Users(connection).add(f"{name}@example.org", "hash")
            assert user is not None
            await Users(connection).set_consent(user.id, allows)
            return user.id

        return run(self.url, lambda database: database.run(add))

    def garment(self, person: UUID, title: str) -> str:
        """A garment with a picture, in somebody's wardrobe."""
        content = jpeg(Image.new("RGB", (30, 30), "red"))
        self.pictures.save(person, content)
        new = NewGarment(category=Category.TOPS, title=title, picture_hash=Pictures.hash_of(content))
        added = run(
            self.url, lambda database: database.run(lambda connection: Wardrobe(connection, person).add([new], 100))
        )
        assert added
        return str(added[0].id)

    def says(self, person: UUID, *items: str, verdict: str = "saved") -> None:
        body = {"kind": "outfit", "verdict": verdict, "item_ids": [*items], "score": None}

        async def add(connection: Connection) -> None:
            assert await FeedbackOf(connection, person, self.cipher).add("outfit", body, 100)

        run(self.url, lambda database: database.run(add))

    def night(self) -> SavedCounts:
        taken(self.url, self.cipher, self.file)
        shutil.rmtree(self.folder, ignore_errors=True)
        saved = run(
            self.url,
            lambda database: database.run(
                lambda connection: read_saved(connection, read_lines(self.file), self.pictures)
            ),
        )
        return write_saved(saved, self._data, self.folder, share=0.5, per_person=5)

    def rows(self) -> tuple[list[ItemRow], list[OutfitRow]]:
        return (
            outfits_data.read_rows(self.folder / "items.jsonl", ItemRow),
            outfits_data.read_rows(self.folder / "outfits.jsonl", OutfitRow),
        )


@pytest.fixture
def platform(database_url: str, tmp_path: Path, data: Path) -> Platform:
    return Platform(database_url, tmp_path, data)


def trained(platform: Platform, data: Path, out: Path) -> dict[str, Any]:
    """Lineage of a tiny training on the folder of the last night."""
    folders = Folders(
        data=data, base=None, out=out, checkpoints=out.with_name("checkpoints"), plots=out.with_name("plots"),
        saved=platform.folder,
    )  # fmt: skip
    train(SPEC, quick_settings(max_epochs=1), RunSettings(tracking=TrackingSettings(enabled=False)), folders, {})
    return dict(read_json(out / "lineage.json", "the lineage"))


def test_the_training_learns_from_whom_allows_it_and_forgets_whom_has_gone(
    platform: Platform, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Sequence[OutfitRow]] = []

    class Watched(outfits_data.OutfitsData):
        def __init__(self, settings: Any, tables: outfits_data.OutfitTables, *others: Any) -> None:
            super().__init__(settings, tables, *others)
            seen.append(tables.outfits["train"][60:])

    monkeypatch.setattr(outfits_train, "OutfitsData", Watched)
    ada, bob, eve = platform.person("ada"), platform.person("bob"), platform.person("eve", allows=False)
    top = platform.garment(ada, "Grandmother's blouse")
    platform.says(ada, top, "bag", SHOE)
    platform.says(ada, top, "bag", verdict="rejected")
    platform.says(bob, "tops-train-0", "bag")
    platform.says(eve, "tops-train-1", "bag")
    assert str(platform.night()) == "2 saved outfits of 2 people to train on"
    items, outfits = platform.rows()
    assert {outfit.items for outfit in outfits} == {(top, "bag", SHOE), ("tops-train-0", "bag")}
    assert {item.item_id for item in items} == {top, "bag"}, "the rest is among the prepared garments"
    assert all((platform.folder / str(item.image)).is_file() for item in items)
    assert not any(str(person) in path.read_text() for person in (ada, bob) for path in platform.folder.glob("*.jsonl"))

    first = trained(platform, data, tmp_path / "first")
    assert {outfit.items for outfit in seen[-1]} == {outfit.items for outfit in outfits}
    assert first["saved_outfits"] == 2
    vocabulary = (tmp_path / "first" / "vocabulary.json").read_text(encoding="utf-8")
    assert "plain" in vocabulary
    assert "grandmother" not in vocabulary, "nobody's words are in an artifact"

    run(platform.url, lambda database: database.run(lambda connection: Users(connection).remove(ada)))
    assert platform.night().outfits == 1
    assert [outfit.items for outfit in platform.rows()[1]] == [("tops-train-0", "bag")]
    second = trained(platform, data, tmp_path / "second")
    assert [outfit.items for outfit in seen[-1]] == [("tops-train-0", "bag")]
    assert (second["saved_outfits"], second["candidate_id"] != first["candidate_id"]) == (1, True)
    run(platform.url, lambda database: database.run(lambda connection: Users(connection).set_consent(bob, False)))
    assert platform.night().outfits == 0, "though its line still waits for the next night to drop it"
    third = trained(platform, data, tmp_path / "third")
    assert (seen[-1], "saved_outfits" in third) == ([], False)


def test_nobody_gives_away_the_garment_of_another(platform: Platform) -> None:
    ada, eve = platform.person("ada"), platform.person("eve")
    platform.says(eve, platform.garment(ada, "Blouse"), "bag")
    counts = platform.night()
    assert (counts.outfits, sum(counts.left_out.values())) == (0, 1)


def test_a_picture_that_is_lost_costs_the_garment_its_picture(platform: Platform) -> None:
    ada = platform.person("ada")
    platform.says(ada, platform.garment(ada, "Blouse"), "bag")
    platform.pictures.remove_all(ada)
    assert platform.night().outfits == 1
    assert {(row.title, row.image is None) for row in platform.rows()[0]} == {("Blouse", True), ("Red bag", False)}


def saved(*outfits: tuple[str, ...], person: UUID | None = None) -> list[SavedOutfit]:
    return [
        SavedOutfit(feedback_id=number, person=person or uuid4(), items=items, owned={})
        for number, items in enumerate(outfits)
    ]


def left_out(data: Path, folder: Path, outfits: Sequence[SavedOutfit], share: float = 0.5) -> tuple[int, list[str]]:
    counts = write_saved(outfits, data, folder, share=share, per_person=3)
    return counts.outfits, [*counts.left_out]


def test_what_is_held_out_stays_held_out(data: Path, tmp_path: Path) -> None:
    held_out = outfits_data.read_rows(data / "outfits" / "test.jsonl", OutfitRow)[0]
    top, _, shoes = held_out.items
    count, reasons = left_out(data, tmp_path / "a", saved((top, "tops-train-0")))
    assert (count, reasons) == (0, ["fewer than two garments that are known and not held out"])
    assert left_out(data, tmp_path / "b", saved((top, shoes, "bag")))[0] == 1
    [outfit] = outfits_data.read_rows(tmp_path / "b" / "outfits.jsonl", OutfitRow)
    assert outfit.items == (shoes, "bag"), "the top is new to every model that is asked about it"
    both = tmp_path / "shared"
    shutil.copytree(data, both)
    write_rows(
        both / "outfits" / "train.jsonl",
        [
            *outfits_data.read_rows(data / "outfits" / "train.jsonl", OutfitRow),
            OutfitRow(outfit_id="other", group="other", items=(top, "tops-train-0")),
        ],
    )
    assert left_out(both, tmp_path / "c", saved((top, shoes, "bag"))) == (
        0, ["a held-out outfit has two of the garments"]
    )  # fmt: skip
    assert left_out(both, tmp_path / "d", saved((top, "bag")))[0] == 1


def test_the_newest_are_taken_and_of_one_person_only_some(data: Path, tmp_path: Path) -> None:
    mine = [(f"tops-train-{number}", "bag") for number in range(5)]
    assert left_out(data, tmp_path / "a", saved(*mine, person=uuid4())) == (3, ["more than 3 of one person"])
    rows = outfits_data.read_rows(tmp_path / "a" / "outfits.jsonl", OutfitRow)
    assert [row.outfit_id for row in rows] == ["saved-4", "saved-3", "saved-2"]
    assert left_out(data, tmp_path / "b", saved(*mine), share=0.05) == (3, ["more than 3 in all"])
    assert left_out(data, tmp_path / "c", saved(mine[0], mine[0][::-1])) == (1, ["the same garments as another one"])
    assert left_out(data, tmp_path / "d", saved(*mine), share=0) == (0, ["more than 0 in all"])


_STAGE = """
stages:
  train_outfits:
    cmd: python -c "import pathlib, shutil; shutil.copy('feedback/outfits/outfits.jsonl', 'learnt')"
    deps:
      - feedback/outfits
    outs:
      - learnt
"""


def test_a_stage_runs_again_for_other_saved_outfits_and_no_snapshot_has_them(
    own_home: Path, data: Path, tmp_path: Path
) -> None:
    definition = tmp_path / "dvc.yaml"
    definition.write_text(_STAGE, encoding="utf-8")
    workspace = Workspace(profile_paths("sample"), load_profile("sample"), definition=definition)
    folder = workspace.folder / SAVED_OUTFITS
    with workspace.lock.held():
        for outfits, ran in (([], True), ([("tops-train-0", "bag")], True), ([("tops-train-0", "bag")], False)):
            workspace.set_up()
            write_saved(saved(*outfits), data, folder, share=0.5, per_person=3)
            assert run_stage(workspace, "train_outfits", timeout_seconds=60).ran is ran
            assert len((workspace.folder / "learnt").read_text(encoding="utf-8").splitlines()) == len(outfits)
    kept = [path.read_bytes() for path in (own_home / "dvc").rglob("*") if path.is_file()]
    assert (data / "catalog" / "images" / "bag.png").read_bytes() not in kept
    assert not any(b"Red bag" in content for content in kept)

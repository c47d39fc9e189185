"""Which versions, Bentos, copies and checkpoints may go."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aura.artifact import write_json, write_text
from aura.errors import DiskFullError
from aura.registry import ARTIFACT_HASH, FILES_REMOVED, ModelVersion
from flows.package import bento_folder
from flows.profile import NightSettings
from flows.retention import require_free_space
from flows.retention_policy import (
    KEEP,
    needed_versions,
    removable_bentos,
    removable_checkpoints,
    removable_copies,
    removable_versions,
)

SETTINGS = NightSettings(keep_rejected=1, keep_champions=1)


def version(number: int, verdict: str = "kept champion", *aliases: str, **tags: str) -> ModelVersion:
    own = {"candidate_id": f"candidate-{number}", "verdict": verdict, "judged": "true", ARTIFACT_HASH: f"hash-{number}"}
    return ModelVersion(
        model="outfits", version=str(number), run_id=f"run-{number}", created="", tags=own | tags, aliases=list(aliases)
    )


def gone(versions: list[ModelVersion]) -> list[str]:
    return [found.version for found in removable_versions(versions, SETTINGS)]


def test_rejected_versions_go_before_former_champions_and_the_newest_of_both_stay() -> None:
    versions = [
        version(9, "kept champion", "challenger"), version(8, "promoted", "champion"), version(7), version(6, "rejected"),
        version(5, "promoted", "previous"), version(4, "promoted"), version(3), version(2, "promoted"), version(1),
    ]  # fmt: skip
    assert gone(versions) == ["6", "3", "1", "2"]


@pytest.mark.parametrize("alias", ["champion", "previous", "challenger", "golden"])
def test_no_version_with_an_alias_goes_however_old(alias: str) -> None:
    assert gone([*map(version, (9, 8, 7)), version(1, "rejected", alias)]) == ["8", "7"]


def test_a_version_with_the_tag_keep_and_one_without_a_verdict_stay() -> None:
    assert gone([version(9), version(2, **{KEEP: "for the fair"}), version(1, judged="")]) == []


def test_what_a_named_version_was_trained_from_stays() -> None:
    parent, grandparent = version(2, "promoted", base="hash-1"), version(1, "promoted")
    versions = [version(9, "promoted", "champion", base="hash-2"), version(8, "promoted"), parent, grandparent]
    assert parent in needed_versions(versions)
    assert gone(versions) == ["1"]


def test_files_that_are_gone_or_shared_with_a_needed_version_are_not_removed() -> None:
    shared = version(1)
    shared = ModelVersion(**{**shared.as_dict(), "run_id": "run-9"})
    assert (
        gone([version(9, "promoted", "champion"), version(8), version(7, **{FILES_REMOVED: "2026-01-01"}), shared])
        == []
    )


def bento(tag: str, age: int, profile: str = "sample") -> None:
    folder = bento_folder(tag)
    if profile:
        write_text(folder / "src" / "pinned" / "params.yaml", f"profile: {profile}\n")
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder, times=(time.time() - age * 86400.0,) * 2)


def test_the_newest_bentos_stay_and_those_that_are_packed_or_served(own_home: Path) -> None:
    for number in range(7):
        bento(f"visual_analysis:b{number}", age=number)
    bento("visual_analysis:other-profile", age=90, profile="ccp")
    bento("visual_analysis:being-copied", age=0, profile="")
    bento("visual_analysis:cut-off", age=2, profile="")
    bento("conversational_ai:only", age=90)
    packed = {"visual_analysis": {"tag": "visual_analysis:b5"}}
    write_json(own_home / "pipelines" / "other" / "metrics" / "package.json", {"bentos": packed})
    server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "serve", "visual_analysis:b6"])
    try:
        found = removable_bentos("sample", own_home, keep=2)
    finally:
        server.kill()
        server.wait()
    assert found == [f"visual_analysis:{name}" for name in ("b2", "b3", "b4", "cut-off")]
    assert "visual_analysis:b6" in removable_bentos("sample", own_home, keep=2), "nobody serves it any more"


def test_copies_of_champion_and_previous_and_the_newest_catalog_stay(tmp_path: Path) -> None:
    names = ("outfits/candidate-3", "outfits/candidate-2", "outfits/candidate-1", "catalog-new", "catalog-old",
             "outfits/.download-now", "outfits/.download-killed", ".catalog-killed")  # fmt: skip
    for name in names:
        (tmp_path / name).mkdir(parents=True)
        age = 2 * 86400.0 if name.endswith(("old", "killed")) else 0.0
        os.utime(tmp_path / name, times=(time.time() - age,) * 2)
    write_text(tmp_path / "params.yaml", "")
    versions = [version(3, "promoted", "champion"), version(2, "promoted", "previous"), version(1)]
    found = {path.relative_to(tmp_path).as_posix() for path in removable_copies(tmp_path, versions)}
    assert found == {"outfits/candidate-1", "catalog-old", "outfits/.download-killed", ".catalog-killed"}


def test_checkpoints_go_when_the_model_is_judged_and_the_run_stays_known(tmp_path: Path) -> None:
    for candidate in ("candidate-1", "candidate-2"):
        for file in ("best.ckpt", "last.ckpt", "last.ckpt.damaged", "run.json"):
            write_text(tmp_path / "outfits" / candidate / file, "")
    found = removable_checkpoints(tmp_path, [version(1), version(2, judged="")])
    assert [path.name for path in found] == ["best.ckpt", "last.ckpt", "last.ckpt.damaged"]
    assert {path.parent.name for path in found} == {"candidate-1"}


def test_a_night_does_not_begin_on_a_full_disk(tmp_path: Path) -> None:
    require_free_space(tmp_path / "not" / "there" / "yet", 0)
    with pytest.raises(DiskFullError, match=r"has .* GB free; a night begins with 1e\+09 GB") as caught:
        require_free_space(tmp_path / "not" / "there" / "yet", 1e9)
    assert "aura tidy" in caught.value.hint

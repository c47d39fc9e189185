"""A home to switch in: a copy of a trained one with a second version of each model, a broken one, and a second index."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from aura.artifact import content_hash
from aura.errors import RegistryError
from aura.registry import CHAMPION, Registry
from aura.releases import Release
from flows.profile import Profile
from flows.releases import make_release
from flows.services import SERVICES
from inference.chat.artifact import WEIGHTS as ADAPTER
from inference.retrieval.releases import connect, now, publish, read_releases, serving_release
from inference.retrieval.tables import CATALOG
from inference.retrieval.writer_lock import writer_lock
from inference.smoke_test import record
from training.models import MODELS

FOLLOWING = {name: service for name, service in SERVICES.items() if service.models}
"""Services that answer from a release."""
_WEIGHTS = {"chat": ADAPTER}
_USUAL_WEIGHTS = "model.safetensors"
_SCALE = 0.9995
"""What a second version's weights are multiplied by: another model, whose answers differ in the last digits."""
_LEFT_OUT = 10
"""One catalog item of so many is missing in the second index."""


@dataclass(frozen=True, kw_only=True)
class SwitchHome:
    """What can be switched between.

    Attributes:
        versions: model to the numbers of its two good versions.
        broken: model to the number of a version that answers otherwise than it recorded.
    """

    registry: Registry
    index: Path
    versions: dict[str, tuple[str, str]]
    broken: dict[str, str]


def copy_home(source: Path, target: Path, profile: str) -> None:
    """Copy what services answer from: the registry and the index of a profile."""
    for folder in ("mlflow", f"index/{profile}"):
        if not (target / folder).exists():
            shutil.copytree(source / folder, target / folder)


def set_up(settings: Profile, index: Path) -> SwitchHome:
    """Register what is to be switched between, in the home that `AURA_HOME` names, and make its first release.

    Raises:
        RegistryError: a model has no champion.
    """
    registry = Registry(settings.tracking, settings.profile)
    versions, broken = {}, {}
    for model in MODELS:
        champion = registry.at(model, CHAMPION)
        if champion is None:
            raise RegistryError(f"there is no champion for {model}", hint="run `aura nightly` in this home first")
        versions[model] = (champion.version, _variant(registry, model, _SCALE, answers_anew=True))
        broken[model] = _variant(registry, model, 0.0, answers_anew=False)
    if len(read_releases(connect(str(index)))) < 2:
        _second_index(index)
    make_release(registry, index, "before the switches")
    return SwitchHome(registry=registry, index=index, versions=versions, broken=broken)


def promote(home: SwitchHome, model: str, version: str, reason: str) -> Release:
    """What `aura models promote` does."""
    home.registry.verify(home.registry.version(model, version))
    home.registry.promote(model, version)
    return make_release(home.registry, home.index, reason)


def _variant(registry: Registry, model: str, scale: float, *, answers_anew: bool) -> str:
    """Version with the champion's weights times a number; without new answers its smoke test finds that it is another model."""
    champion = registry.at(model, CHAMPION)
    assert champion is not None, "checked before"
    with tempfile.TemporaryDirectory(prefix="aura-variant-") as name:
        folder = registry.download(champion, Path(name) / model)
        file = folder / _WEIGHTS.get(model, _USUAL_WEIGHTS)
        with safe_open(file, framework="pt") as stored:
            about = stored.metadata()
        scaled = {
            name: (value * scale).contiguous() if torch.is_floating_point(value) else value
            for name, value in load_file(file).items()
        }
        save_file(scaled, file, metadata=about)
        if answers_anew:
            record(MODELS[model].smoke_test, folder, "cpu")
        return registry.register(
            model, folder, run_id=None, tags={"candidate_id": content_hash(folder), "judged": "true"}
        ).version


def _second_index(uri: Path) -> None:
    """Publish a release that lacks some items of the catalog."""
    with writer_lock(str(uri), 60.0):
        connection = connect(str(uri))
        served = serving_release(connection)
        table = connection.open_table(CATALOG)
        ids = sorted(row["item_id"] for row in table.search().select(["item_id"]).limit(None).to_list())
        table.delete(" OR ".join(f"item_id = '{item_id}'" for item_id in ids[::_LEFT_OUT]))
        publish(
            connection,
            replace(served, number=served.number + 1, catalog_version=table.version, built_at=now(), digest=""),
        )

"""Build a Bento of each service with its champions and the index inside, start it and test its answers: the `package` stage.

The Bento's version is the hash of its contents, so that packing the same contents again finds it in the store.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from aura.artifact import content_hash, read_json, write_json, write_text
from aura.error_file import reporting_errors
from aura.errors import AuraError, ServiceError, StartError
from aura.lineage import value_hash
from aura.paths import home, profile_paths, repo_root
from aura.releases import Release
from aura.settings import read_resolved, validate
from aura.supervision import die_with_parent, watched, watched_environment
from bentos.serving.assets import RELEASE
from bentos.serving.settings import ServingSettings
from flows import bento_contents
from flows.logs import open_log
from flows.processes import free_port, stop, wait_until_healthy
from flows.recorded_answers import check_recorded_answers
from flows.services import SERVICES, Service
from flows.workspace import Workspace
from inference.retrieval.integrity import KEYS, RELEASES
from inference.retrieval.object_store import local_copy
from inference.retrieval.releases import served_index, served_release
from inference.retrieval.settings import IndexSettings
from inference.retrieval.writer_lock import writer_lock
from stores.address import DATABASE_URL
from stores.local_server import LocalServer

_INDEX_WAIT_SECONDS = 600.0


def pack(service: Service, params: Path, champions: Path, index: Path) -> str:
    """Build the Bento unless the store has it; returns its tag."""
    _refuse_without_champions(service, champions)
    version = _version(service, params, champions, index)
    tag = f"{service.name}:{version}"
    if bento_whole(tag):
        return tag
    # A Bento without its mark is a partial copy of a killed run: BentoML copies into the final folder.
    shutil.rmtree(bento_folder(tag), ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="aura-bento-") as name:
        staging = Path(name)
        bento_contents.copy_sources(repo_root(), staging)
        _pin(service, staging / bento_contents.PINNED, params, champions, index)
        bento_contents.build(service, version, staging)
    write_text(_mark(tag), "")
    return tag


def note_release(workspace: Workspace, release: Release) -> None:
    """Leave a release beside the champions, for the next packing."""
    write_json(workspace.folder / "champions" / RELEASE, release.as_dict())


def bentos_current(workspace: Workspace) -> bool:
    """Whether the store has every Bento that the last packing named, with the index and of the release that serve now."""
    record = workspace.folder / "metrics" / "package.json"
    if not record.is_file():
        return False
    packed = read_json(record, "the package record")
    if packed.get("index_release") != served_release(workspace.index):  # `aura index rollback` moved it
        return False
    if packed.get("release") != _noted_release(workspace.folder / "champions").number:
        return False
    tags = [bento["tag"] for bento in packed["bentos"].values()]
    return all(bento_whole(tag) for tag in tags)


def remove_bento(tag: str) -> None:
    """Remove a Bento from the store; its mark first, so that nobody takes a part of it for the whole."""
    _mark(tag).unlink(missing_ok=True)
    shutil.rmtree(bento_folder(tag), ignore_errors=True)


def bento_folder(tag: str) -> Path:
    """Folder of a Bento in the store."""
    return home() / "bentoml" / "bentos" / tag.replace(":", "/")


def _mark(tag: str) -> Path:
    """File that exists when the Bento is whole."""
    return home() / "bentoml" / "whole" / tag.replace(":", "-")


def bento_whole(tag: str) -> bool:
    """Whether the store has the Bento, and it was built to its end."""
    return _mark(tag).is_file() and (bento_folder(tag) / "bento.yaml").is_file()


def _refuse_without_champions(service: Service, champions: Path) -> None:
    """Raise a ServiceError that names the champions that are missing."""
    manifest = champions / "champions.json"
    have = read_json(manifest, "the champions' manifest") if manifest.is_file() else {}
    missing = [model for model in service.models if model not in have]
    if missing:
        raise ServiceError(
            f"{service.name} cannot be packed without a champion of: {', '.join(missing)}",
            hint="see the night's report for why no version was promoted, or `aura models promote MODEL VERSION`",
        )


def prove(service: Service, tag: str, profile: str, champions: Path, start_seconds: float) -> dict[str, Any]:
    """Start the Bento and send it real requests; returns its answer and the seconds that it took.

    Raises:
        StartError: it did not start within `start_seconds`.
        ServiceError: an answer was an error, or made no sense.
        WrongAnswerError: its answers differ from those recorded when the champions were trained.
    """
    began = time.monotonic()
    port = free_port()
    log = profile_paths(profile).logs / f"bento-{service.name}.log"
    # By its folder, not its tag: with the store as its home it would empty the metrics of whatever else serves from there.
    command = watched("flows.bento_server", "serve", str(bento_folder(tag)), "--host", "127.0.0.1", "--port", str(port))
    proof = ExitStack()
    own_home = Path(proof.enter_context(tempfile.TemporaryDirectory(prefix="aura-proof-")))
    try:
        environment = bento_environment() | _proof_environment(own_home)
        if service.needs_database:
            database = LocalServer(own_home / "postgres").running(start_seconds, log)
            environment[DATABASE_URL] = proof.enter_context(database)
        with open_log(log) as stream:
            server = subprocess.Popen(
                command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True, env=environment
            )
        proof.callback(stop, server)
        url = f"http://127.0.0.1:{port}{service.path}"
        wait_until_healthy(service.health_url(url), server, log, start_seconds)
        started = time.monotonic()
        answer = service.smoke_test(url)
        for model in service.models:
            check_recorded_answers(model, url, champions / model)
        return {
            "tag": tag, "answer": answer, "start_seconds": round(started - began, 1),
            "answer_seconds": round(time.monotonic() - started, 1),
        }  # fmt: skip
    except AuraError:
        _mark(tag).unlink(missing_ok=True)  # the next run builds it again
        raise
    finally:
        proof.close()


def _proof_environment(own_home: Path) -> dict[str, str]:
    """What keeps a proof from the metrics, keys, people and prediction log of whatever else runs here."""
    folders = {"AURA_TOKEN_KEYS": "token-keys", "AURA_TEXT_KEYS": "text-keys", "AURA_PICTURES": "pictures"}
    return {name: str(own_home / folder) for name, folder in folders.items()} | {
        "BENTOML_HOME": str(own_home), "AURA_AUTH": "off", DATABASE_URL: "",
    }  # fmt: skip


def bento_environment() -> dict[str, str]:
    """Environment for BentoML: its store under the home folder, no telemetry."""
    return watched_environment() | {
        "BENTOML_HOME": str(home() / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "true",
        "AURA_HOME": str(home()),
    }


def _noted_release(champions: Path) -> Release:
    """What `note_release` left; release 0 where no night has made one."""
    file = champions / RELEASE
    return Release.from_dict(read_json(file, "the release")) if file.is_file() else Release(number=0)


def _pinned_release(service: Service, champions: Path, index: Path) -> Release:
    """What the Bento of a service is made of; under the number of the release that names it, or 0 when none does."""
    if not service.needs_index:
        return Release(number=0)
    manifest = read_json(champions / "champions.json", "the champions' manifest")
    models, served = {model: str(manifest[model]["version"]) for model in service.models}, served_index(index)
    release = _noted_release(champions)
    if release.index != served or any(release.models.get(model) != version for model, version in models.items()):
        return Release(number=0, models=models, index=served)
    return replace(release, models=models)


def _version(service: Service, params: Path, champions: Path, index: Path) -> str:
    contents = [service.target, bento_contents.contents_hash(repo_root()), read_resolved(params)["serving"]]
    contents.append(_pinned_release(service, champions, index).number)
    contents += [content_hash(champions / model) for model in service.models]
    contents += [content_hash(index)] if service.needs_index else []
    return value_hash(contents)[:16]


def _pin(service: Service, pinned: Path, params: Path, champions: Path, index: Path) -> None:
    values = read_resolved(params)
    for model in service.models:
        shutil.copytree(champions / model, pinned / "champions" / model)
    write_json(pinned / RELEASE, _pinned_release(service, champions, index).as_dict())
    if service.needs_index:
        shutil.copytree(index, pinned / "index")
    kept = {"profile": values["profile"], "serving": values["serving"], "tracking": {"enabled": False}}
    write_text(pinned / "params.yaml", yaml.safe_dump(kept, sort_keys=True))


@reporting_errors
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="flows.package", description=(__doc__ or "").splitlines()[0])
    for name in ("--params", "--champions", "--out"):
        parser.add_argument(name, type=Path, required=True)
    options = parser.parse_args(arguments)
    die_with_parent()
    os.environ.update(bento_environment())
    values = read_resolved(options.params)
    profile = str(values["profile"])
    serving = validate(ServingSettings, values.get("serving"), "serving")
    index = validate(IndexSettings, values.get("index"), "index").address(profile_paths(profile))
    # Without the lock, a build or rollback in between would leave Bentos with another release than the recorded one.
    with writer_lock(index, _INDEX_WAIT_SECONDS), local_copy(index, (*KEYS, RELEASES)) as folder:
        release = served_release(folder)
        tags, problems = _pack_all(options, Path(folder))
    bentos, failed = _prove_all(tags, profile, options.champions, serving.start_timeout_seconds)
    problems += failed
    if problems:
        raise _one_error(problems)
    number = _noted_release(options.champions).number
    write_json(options.out, {"bentos": bentos, "index_release": release, "release": number})
    return 0


def _pack_all(options: argparse.Namespace, index: Path) -> tuple[dict[str, str], list[AuraError]]:
    """Tags of the services that could be packed, and the errors of those that could not."""
    tags: dict[str, str] = {}
    problems: list[AuraError] = []
    for service in SERVICES.values():
        try:
            tags[service.name] = pack(service, options.params, options.champions, index)
        except ServiceError as error:
            problems.append(error)
    return tags, problems


def _prove_all(
    tags: dict[str, str], profile: str, champions: Path, start_seconds: float
) -> tuple[dict[str, dict[str, Any]], list[AuraError]]:
    """What each Bento answered, and the errors of those that failed.

    All start at once, as in `aura serve`: most of a start is imports, which use one core.
    """
    with ThreadPoolExecutor(max_workers=len(SERVICES)) as threads:
        proofs = {
            name: threads.submit(prove, SERVICES[name], tag, profile, champions, start_seconds)
            for name, tag in tags.items()
        }
    bentos: dict[str, dict[str, Any]] = {}
    problems: list[AuraError] = []
    for name, proof in proofs.items():
        try:
            bento = bentos[name] = proof.result()
        except AuraError as error:
            problems.append(error)
        else:
            print(f"{bento['tag']} answered after {bento['start_seconds']:.0f} s: {bento['answer']}")
    return bentos, problems


def _one_error(problems: Sequence[AuraError]) -> AuraError:
    """All problems as one error, which another run may mend only if it may mend each."""
    if len(problems) == 1:
        return problems[0]
    kind = StartError if all(problem.transient for problem in problems) else ServiceError
    return kind("\n".join(map(str, problems)))


if __name__ == "__main__":
    raise SystemExit(main())

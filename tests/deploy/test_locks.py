"""The lock files hold what every promised Python needs, and nothing that its owner has not vouched for."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from typing import Any

import grimp
import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from aura.paths import repo_root

LOCKS = ("cuda", "cpu", "serve")
# Debian 12 has 3.11.2, which needs a package that 3.11.3 does not.
PYTHONS = ("3.11.2", "3.11.9", "3.12.1", "3.13.0")
PLATFORMS = (("linux", "Linux", "x86_64"), ("linux", "Linux", "aarch64"), ("darwin", "Darwin", "arm64"))
LIMIT_BYTES = 1_000_000
NOT_IN_A_BENTO = {"prefect", "dvc", "lightning", "pytorch-lightning", "mlflow", "mypy", "pytest", "ruff"}
# Imported where a process reads the registry, which a Bento never does: what it answers from lies in it.
REGISTRY = {"mlflow", "lightning"}


@dataclass(frozen=True)
class Locked:
    """One package of a lock file."""

    requirement: Requirement
    hashes: frozenset[str]

    @property
    def version(self) -> str:
        (specifier,) = self.requirement.specifier
        assert specifier.operator == "==", self.requirement
        return specifier.version


@cache
def locked(lock: str) -> dict[str, Locked]:
    text = (repo_root() / f"requirements-{lock}.lock").read_text(encoding="utf-8")
    lines = re.sub(r"#.*", "", text).replace("\\\n", " ").splitlines()
    found = {}
    for line in filter(str.strip, lines):
        requirement, *hashes = line.split(" --hash=")
        parsed = Requirement(requirement)
        assert parsed.name not in found, f"two versions of {parsed.name}"
        found[canonicalize_name(parsed.name)] = Locked(parsed, frozenset(part.strip() for part in hashes))
    return found


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((repo_root() / "pyproject.toml").read_text(encoding="utf-8"))


def roots(lock: str) -> list[Requirement]:
    """What was asked for."""
    if lock == "serve":
        return [Requirement(name) for name in project()["dependency-groups"]["serve"]]
    asked = [*project()["project"]["dependencies"], *project()["project"]["optional-dependencies"]["dev"]]
    return [Requirement(text) for text in asked]


def environment(python: str, platform: tuple[str, str, str]) -> dict[str, str]:
    system, name, machine = platform
    return {key: str(value) for key, value in default_environment().items()} | {
        "python_full_version": python, "python_version": python.rpartition(".")[0],
        "sys_platform": system, "platform_system": name, "platform_machine": machine,
    }  # fmt: skip


def needed(asked: Iterable[Requirement], where: dict[str, str]) -> set[tuple[str, SpecifierSet]]:
    """Everything that the packages ask for there, as their own metadata say; one that is not installed here asks for nothing."""
    excluded = set(project()["tool"]["uv"]["exclude-dependencies"])
    waiting, done, found = [(requirement, "") for requirement in asked], set(), set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in excluded or (requirement.marker and not requirement.marker.evaluate({**where, "extra": extra})):
            continue
        found.add((name, requirement.specifier))
        for wanted in ("", *requirement.extras):
            if (name, wanted) in done:
                continue
            done.add((name, wanted))
            with suppress(PackageNotFoundError):
                waiting += [(Requirement(text), wanted) for text in requires(name) or ()]
    return found


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: "-".join(platform[1:]))
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS)
def test_every_python_and_platform_finds_all_that_is_needed(lock: str, python: str, platform: tuple[str, ...]) -> None:
    where = environment(python, platform)  # type: ignore[arg-type]
    packages = locked(lock)
    left_out = set(locked("cuda")) - set(packages) if lock == "cpu" else set()
    missing, unfit = [], []
    for name, specifier in needed(roots(lock), where):
        package = packages.get(name)
        marker = package.requirement.marker if package else None
        if name in left_out:
            continue
        if package is None or (marker and not marker.evaluate(where)):
            missing.append(name)
        elif not specifier.contains(package.version, prereleases=True):
            unfit.append(f"{name} {package.version}, but {specifier} is asked for")
    assert not missing, "run make lock"
    assert not unfit, "run make lock"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_file_that_may_be_installed_is_known_by_its_hash(lock: str) -> None:
    assert not [name for name, package in locked(lock).items() if not package.hashes]
    text = (repo_root() / f"requirements-{lock}.lock").read_text(encoding="utf-8")
    assert len(text) < LIMIT_BYTES
    assert "://" not in text, "a lock file names no registry: pip's own configuration does"


def test_the_three_agree() -> None:
    everything = locked("cuda")
    for lock in ("cpu", "serve"):
        assert {name: package.hashes for name, package in locked(lock).items()} == {
            name: everything[name].hashes for name in locked(lock)
        }
        assert all(package.version == everything[name].version for name, package in locked(lock).items())
    only_for_gpus = set(everything) - set(locked("cpu"))
    assert {"torch", "torchvision", "triton", "nvidia-cublas"} <= only_for_gpus
    assert not {name for name in only_for_gpus if not re.match("torch|triton|nvidia-|cuda-", name)}


def test_a_bento_installs_what_its_services_import_and_no_tool_of_the_night() -> None:
    packages = set(locked("serve"))
    assert not packages & NOT_IN_A_BENTO
    graph = grimp.build_graph("aura", "inference", "stores", "bentos", include_external_packages=True, cache_dir=None)
    services = graph.find_descendants("bentos")
    modules = services.union(*(graph.find_upstream_modules(module) for module in services))
    own = {"aura", "inference", "stores", "bentos"}
    libraries = {module.partition(".")[0] for module in modules} - own - sys.stdlib_module_names - REGISTRY
    distributions = packages_distributions()
    imported = {canonicalize_name(name) for library in libraries for name in distributions.get(library, (library,))}
    assert {"torch", "fastapi", "lancedb", "pillow", "pyyaml"} <= imported
    assert not imported - packages, "add it to the group `serve` in pyproject.toml, and run make lock"

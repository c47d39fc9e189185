"""Settings: profiles, which are merged from several places, and resolved files, which hold everything already.

In a profile later wins: `configs/<profile>.yaml` (and the profile that it `extends`), environment variables such as
`AURA_DETECTION__MAX_EPOCHS=3`, then `--set detection.max_epochs=3`. Every schema is a `Section` that stands beside its
owner; unknown keys are refused and all problems are reported in one message.

A resolved file (`params.yaml` of a night, of a Bento, of a running service) is read as it stands: neither the environment nor
another profile may change what somebody else has decided and recorded.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, field_validator
from yaml import YAMLError

from aura.errors import SettingsError
from aura.paths import repo_root
from aura.uri_secrets import refuse_secret, without_secrets

ENV_PREFIX = "AURA_"
ENV_LEVELS = "__"


class Section(BaseModel):
    """Base of every settings schema: immutable, and an unknown or ignored key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)

    @field_validator("*")
    @classmethod
    def _no_address_with_a_secret(cls, value: Any) -> Any:
        if isinstance(value, str):
            refuse_secret(value)
        return value

    def refuse_ignored(self, keys: Sequence[str], reason: str) -> None:
        """Raise a ValueError if one of `keys`, which have no effect for this reason, is not at its default."""
        fields = type(self).model_fields
        ignored = [key for key in keys if getattr(self, key) != fields[key].get_default(call_default_factory=True)]
        if ignored:
            raise ValueError(f"{', '.join(ignored)} would be ignored: {reason}")


SectionType = TypeVar("SectionType", bound=Section)


Uri = str
"""An address or a path."""

_SQLITE_RELATIVE = re.compile(r"(sqlite(?:\+\w+)?:///)([^/:].*)")
"""Three slashes before the path: relative. `:memory:` is no path."""
_NO_PATHS = ("file:", "databricks")
"""Beginnings of addresses without `://`."""


def _whole_address(uri: str) -> str:
    """A relative path made whole: each process of a night has another current folder, and would read it against that."""
    if relative := _SQLITE_RELATIVE.fullmatch(uri):
        return f"{relative[1]}{Path(relative[2]).absolute()}"
    if not uri or "://" in uri or uri.startswith(_NO_PATHS):
        return uri
    return str(Path(uri).expanduser().absolute())


Place = Annotated[Uri, AfterValidator(_whole_address)]
"""A `Uri` where something is stored; a relative path is read against the current folder of the command."""


def _whole_reference(reference: str) -> str:
    if reference.startswith((".", "~")):
        return str(Path(reference).expanduser().absolute())
    if reference and not reference.startswith("/") and Path(reference).is_dir():
        raise ValueError(
            f"is a folder here, and could be the hub's name of a model; for the folder write ./{reference}"
        )
    return reference


ModelReference = Annotated[str, AfterValidator(_whole_reference)]
"""Hub name of a model, `wheel:...`, or the path of a folder: absolute, or beginning with `./`, `../` or `~`."""


def profile_names() -> list[str]:
    """Names of the profiles in `configs/`."""
    return sorted(path.stem for path in (repo_root() / "configs").glob("*.yaml"))


def read_profile(
    profile: str, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Merged values of a profile; `profile` is a name in `configs/` or the path of a YAML file.

    Args:
        overrides: dotted assignments, for example `detection.max_epochs=3`; values are read as YAML.
        environ: environment to read `AURA_<SECTION>__<KEY>` from; the process's own by default.

    Raises:
        SettingsError: unknown profile, broken YAML, or an override without `=`.
    """
    merged: DictConfig | ListConfig = _read_file(_profile_path(profile), seen=())
    environment = os.environ if environ is None else environ
    wrong = [item for item in overrides if "=" not in item or item.startswith("=")]
    if wrong:
        raise SettingsError(f"not an assignment: {', '.join(map(repr, wrong))}", hint="write --set section.key=value")
    try:
        merged = OmegaConf.merge(
            merged, OmegaConf.from_dotlist(_from_environment(environment)), OmegaConf.from_dotlist(list(overrides))
        )
        return cast(dict[str, Any], OmegaConf.to_container(merged, resolve=True))
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        given = without_secrets(str(list(overrides)))
        raise SettingsError(f"cannot put {profile!r} and the overrides {given} together: {error}") from error


def read_resolved(path: Path) -> dict[str, Any]:
    """Values of a resolved file, as they stand there.

    Raises:
        SettingsError: the file is missing, or is no YAML mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise SettingsError(f"cannot read the resolved settings in {path}: {error}") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path} must hold a mapping of sections, not {type(values).__name__}")
    return values


def add_settings_options(parser: argparse.ArgumentParser) -> None:
    """`--params` for a resolved file or `--profile` for a profile, of which a program takes one; see `chosen_settings`."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--params", type=Path, help="resolved settings, read as they stand")
    source.add_argument("--profile", help="name in configs/, or the path of a profile's YAML file")


def chosen_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Values from the option that was given; raises as `read_resolved` and `read_profile` do."""
    return read_resolved(options.params) if options.params else read_profile(options.profile)


def validate(schema: type[SectionType], values: Any, where: str = "") -> SectionType:
    """Check values against a schema.

    Raises:
        SettingsError: lists every problem with its dotted key, what was given and what is allowed.
    """
    try:
        return schema.model_validate({} if values is None else values)
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            key = ".".join(str(part) for part in (where, *problem["loc"]) if part != "")
            if problem["type"] == "extra_forbidden":
                problems.append(f"{key}: unknown key; known here: {_known_keys(schema, problem['loc'][:-1])}")
            else:
                problems.append(f"{key}: {problem['msg']}{_received(problem['input'])}")
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise SettingsError(
            f"{len(problems)} problem(s) in the settings:\n{lines}",
            hint="correct configs/*.yaml, the AURA_* variables or the --set options named above",
        ) from None


def _received(value: Any) -> str:
    # A rule about several keys names their values itself; the whole section would only hide it.
    if isinstance(value, Mapping):
        return ""
    return f" (got {without_secrets(repr(value))})"


def _known_keys(schema: type[BaseModel], location: tuple[int | str, ...]) -> str:
    current: type[BaseModel] = schema
    for part in location:
        field = current.model_fields.get(str(part))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return "(see the schema)"
        current = field.annotation
    return ", ".join(sorted(current.model_fields))


def _profile_path(profile: str) -> Path:
    path = Path(profile) if profile.endswith((".yaml", ".yml")) else repo_root() / "configs" / f"{profile}.yaml"
    if not path.is_file():
        raise SettingsError(
            f"unknown profile {profile!r}; known profiles: {', '.join(profile_names())}",
            hint="choose one of them, or give the path of a YAML file",
        )
    return path


def _read_file(path: Path, seen: tuple[Path, ...]) -> DictConfig:
    if path in seen:
        raise SettingsError(f"profiles extend each other in a circle: {' -> '.join(p.stem for p in (*seen, path))}")
    try:
        loaded = OmegaConf.load(path)
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} is not valid YAML: {error}") from error
    if not isinstance(loaded, DictConfig):
        raise SettingsError(f"{path.name} must hold a mapping of sections, not {type(loaded).__name__}")
    parent = loaded.pop("extends", None)
    if parent is None:
        return loaded
    if not isinstance(parent, str):
        raise SettingsError(f"{path.name}: extends must be the name of a profile, not {parent!r}")
    return cast(DictConfig, OmegaConf.merge(_read_file(_profile_path(parent), (*seen, path)), loaded))


def _from_environment(environ: Mapping[str, str]) -> list[str]:
    assignments = []
    for name, value in sorted(environ.items()):
        if name.startswith(ENV_PREFIX) and ENV_LEVELS in name.removeprefix(ENV_PREFIX):
            key = name.removeprefix(ENV_PREFIX).lower().replace(ENV_LEVELS, ".")
            assignments.append(f"{key}={value}")
    return assignments

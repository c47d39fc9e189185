"""Profiles: precedence, unknown keys, all problems at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from aura.errors import SettingsError
from aura.paths import repo_root
from aura.settings import ModelReference, Place, Section, Uri, profile_names, read_profile, read_resolved, validate
from flows.profile import load_profile, profile_schema


class Inner(Section):
    size: int = 3


class Outer(Section):
    name: str
    inner: Inner = Inner()


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_command_line_wins_over_environment_wins_over_file(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yaml", "name: file\ninner: {size: 1}\n")
    environment = {"AURA_NAME": "ignored: no section", "AURA_INNER__SIZE": "2"}
    assert read_profile(file, environ={})["inner"]["size"] == 1
    assert read_profile(file, environ=environment)["inner"]["size"] == 2
    assert read_profile(file, ["inner.size=3"], environ=environment)["inner"]["size"] == 3
    assert read_profile(file, environ=environment)["name"] == "file"


def test_a_profile_extends_another_and_holds_only_differences(tmp_path: Path) -> None:
    parent = write(tmp_path / "parent.yaml", "name: parent\ninner: {size: 1}\n")
    child = write(tmp_path / "child.yaml", f"extends: {parent}\nname: child\n")
    assert read_profile(child, environ={}) == {"name": "child", "inner": {"size": 1}}


def test_a_circle_of_profiles_is_named(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    write(first, f"extends: {second}\n")
    write(second, f"extends: {first}\n")
    with pytest.raises(SettingsError, match="first -> second -> first"):
        read_profile(str(first), environ={})


class Addressed(Section):
    uri: Uri = ""


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_PASSWORD") as caught:
        validate(Addressed, {"uri": "postgresql://aura:s3cret@db:5432/mlflow"})
    assert "s3cret" not in str(caught.value)
    assert "postgresql://aura:***@db" in str(caught.value)
    for allowed in ("", "https://aura@mlflow", "s3://bucket/folder", "/srv/dvc", "sqlite:///var/mlflow.db"):
        assert validate(Addressed, {"uri": allowed}).uri == allowed


def test_every_problem_is_in_one_message() -> None:
    with pytest.raises(SettingsError) as caught:
        validate(Outer, {"inner": {"size": "many", "colour": 1}, "typo": 2})
    message = caught.value.message
    assert "4 problem(s)" in message
    for part in (
        "name: Field required",
        "inner.size",
        "inner.colour: unknown key; known here: size",
        "typo: unknown key",
    ):
        assert part in message


@pytest.mark.parametrize("override", ["detection", "=3"])
def test_an_override_without_a_key_or_value_is_refused(override: str) -> None:
    with pytest.raises(SettingsError, match="not an assignment"):
        read_profile("sample", [override], environ={})


def test_an_interpolation_that_leads_nowhere_and_a_wrong_parent_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no_such_key"):
        read_profile("sample", ["detection.base=${no_such_key}"], environ={})
    with pytest.raises(SettingsError, match="extends must be the name of a profile, not 3"):
        read_profile(write(tmp_path / "number.yaml", "extends: 3\n"), environ={})


def test_broken_yaml_and_unknown_profiles_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not valid YAML"):
        read_profile(write(tmp_path / "broken.yaml", "a: [1"), environ={})
    with pytest.raises(SettingsError, match="mapping"):
        read_profile(write(tmp_path / "list.yaml", "- 1\n"), environ={})
    with pytest.raises(SettingsError, match="known profiles: base, ccp, photos, production, sample"):
        read_profile("sampel", environ={})


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_of_the_repository_is_valid(name: str) -> None:
    assert load_profile(name).profile == name


def test_a_section_that_does_not_exist_is_refused_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_DETECTOIN__MAX_EPOCHS", "3")
    with pytest.raises(SettingsError, match=r"detectoin: unknown key; known here: .*detection"):
        load_profile("sample")


def test_profiles_hold_only_differences_from_what_they_extend() -> None:
    from omegaconf import OmegaConf

    from aura.paths import repo_root

    def leaves(values: dict, prefix: str = "") -> dict:  # type: ignore[type-arg]
        flat = {}
        for key, value in values.items():
            flat |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
        return flat

    for name in profile_names():
        own = OmegaConf.to_container(OmegaConf.load(repo_root() / "configs" / f"{name}.yaml"))
        assert isinstance(own, dict)
        parent = own.pop("extends", None)
        below = load_profile(parent) if parent else profile_schema()(profile="", seed=0)
        inherited = leaves(below.model_dump(mode="json"))
        repeated = [key for key, value in leaves(own).items() if inherited.get(key) == value]
        assert not repeated, f"{name}.yaml repeats {repeated}"


class Documented(Section):
    width_px: int = 3
    """Width of an image, in pixels."""


def test_the_meaning_of_a_setting_is_in_the_schema() -> None:
    assert Documented.model_json_schema()["properties"]["width_px"]["description"] == "Width of an image, in pixels."


def test_every_setting_of_the_data_says_what_it_means() -> None:
    schema = profile_schema().model_fields["data"].annotation.model_json_schema()  # type: ignore[union-attr]
    sections = {"DataSettings": schema, **schema["$defs"]}
    assert sections.keys() == {"DataSettings", "SplitSettings", "SampleSettings", "ImportSettings"}
    missing = [
        f"{section}.{name}"
        for section, values in sections.items()
        for name, setting in values["properties"].items()
        if not setting.get("description")
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["detection.base=some/detr", "detection.tiny.queries=9"],
            "detection: Value error, tiny, neck_rate would be ignored",
        ),
        (["chat.generation.seed=3"], "chat.generation: Value error, seed would be ignored: temperature 0"),
    ],
)
def test_a_setting_that_would_be_ignored_is_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_profile("sample", overrides)
    assert said in caught.value.message


def test_production_inherits_nothing_that_was_tuned_for_other_data() -> None:
    tuned = (*profile_paths_of("sample"), *profile_paths_of("ccp"))
    own = read_yaml("production")
    assert own["extends"] == "base"
    assert set(read_yaml("base")) == {"profile", "seed"}
    values = flat(read_profile("production"))
    assert not {path for path in tuned if path in values and path not in flat(own)} - {"profile"}


def read_yaml(profile: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((repo_root() / "configs" / f"{profile}.yaml").read_text(encoding="utf-8"))
    return values


def profile_paths_of(profile: str) -> set[str]:
    return set(flat(read_yaml(profile))) - {"extends"}


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def test_a_resolved_file_is_read_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_DETECTION__MAX_EPOCHS", "3")
    file = tmp_path / "params.yaml"
    file.write_text("extends: ccp\ndetection: {max_epochs: 7}\n", encoding="utf-8")
    assert read_resolved(file) == {"extends": "ccp", "detection": {"max_epochs": 7}}
    assert read_profile(str(file))["detection"]["max_epochs"] == 3
    for broken in ("- a list", "a: [", None):
        if broken is None:
            file.unlink()
        else:
            file.write_text(broken, encoding="utf-8")
        with pytest.raises(SettingsError, match=r"params\.yaml"):
            read_resolved(file)


class Places(Section):
    remote: Place = ""
    base: ModelReference = ""


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("", ""),
        ("store", "{here}/store"),
        ("./a #1,b", "{here}/a #1,b"),
        ("/mnt/store", "/mnt/store"),
        ("s3://bucket/store", "s3://bucket/store"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:///runs.db", "sqlite:///{here}/runs.db"),
        ("sqlite:////mnt/runs.db", "sqlite:////mnt/runs.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
    ],
)
def test_a_relative_place_is_made_whole_where_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, read: str
) -> None:
    monkeypatch.chdir(tmp_path)
    resolved = validate(Places, {"remote": given}).model_dump()
    (tmp_path / "stage").mkdir()
    monkeypatch.chdir(tmp_path / "stage")  # a stage reads what the command resolved
    assert validate(Places, resolved).remote == read.format(here=tmp_path)


def test_a_folder_that_could_be_a_name_on_the_hub_must_be_given_as_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "facebook" / "detr").mkdir(parents=True)
    assert validate(Places, {"base": "./facebook/detr"}).base == str(tmp_path / "facebook" / "detr")
    assert validate(Places, {"base": "facebook/detr-resnet-50"}).base == "facebook/detr-resnet-50"
    assert validate(Places, {"base": "wheel:some-model"}).base == "wheel:some-model"
    with pytest.raises(SettingsError, match=r"for the folder write \./facebook/detr"):
        validate(Places, {"base": "facebook/detr"})


def test_the_places_of_a_profile_do_not_depend_on_the_folder_of_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = [
        "night.remote=store",
        "tracking.uri=sqlite:///runs.db",
        "chat.base=./base",
        "retrieval.text_embedder=./t",
    ]
    profile = load_profile("sample", [*overrides, "outfits.network.text_tower=./t"])
    (tmp_path / "stage").mkdir()
    monkeypatch.chdir(tmp_path / "stage")
    assert validate(profile_schema(), profile.model_dump(mode="json")).model_dump() == profile.model_dump()
    assert profile.night.remote == str(tmp_path / "store")
    assert profile.tracking.uri == f"sqlite:///{tmp_path}/runs.db"

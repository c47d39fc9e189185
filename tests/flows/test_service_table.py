"""The one table of services."""

from __future__ import annotations

import ast

import pytest

from aura.errors import SettingsError
from aura.paths import repo_root
from bentos.serving.settings import ServingSettings
from flows.profile import load_profile
from flows.services import SERVICES


def test_every_folder_with_a_service_has_a_row_and_every_row_has_a_folder() -> None:
    folders = {file.parent.name for file in (repo_root() / "bentos").glob("*/service.py")}
    assert SERVICES.keys() == folders


@pytest.mark.parametrize("name", SERVICES)
def test_a_row_names_the_class_and_the_path_that_the_service_has(name: str) -> None:
    service = SERVICES[name]
    source = (repo_root() / "bentos" / name / "service.py").read_text(encoding="utf-8")
    classes = {node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    assert service.target == f"bentos.{name}.service:{service.service_class}"
    assert service.service_class in classes
    assert f'PATH = "{service.path}"' in source


def test_ports_differ_and_a_setting_moves_one() -> None:
    assert len({service.default_port for service in SERVICES.values()}) == len(SERVICES)
    settings = ServingSettings(ports={"visual_analysis": 9000})
    assert SERVICES["visual_analysis"].url(settings) == "http://127.0.0.1:9000/api/v1/visual-analysis"
    assert SERVICES["conversational_ai"].url(settings) == "http://127.0.0.1:8003/api/v1/conversational-ai"
    setting = SERVICES["visual_analysis"].port_setting
    assert load_profile("sample", [f"{setting}=9000"]).serving.ports == {"visual_analysis": 9000}


def test_a_port_of_an_unknown_service_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"serving\.ports names visual; known services: visual_analysis, "):
        load_profile("sample", ["serving.ports.visual=9000"])

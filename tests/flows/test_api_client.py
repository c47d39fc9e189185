"""The generated client: one document of several services, and what is generated from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aura.errors import DataError
from aura.paths import repo_root
from flows import api_client
from flows.api_client import APPS, generate, merged
from flows.services import SERVICES

_HEALTH = {"type": "object", "title": "Health"}


def _document(path: str, schemas: dict[str, Any]) -> dict[str, Any]:
    reference = {"schema": {"$ref": "#/components/schemas/Health"}}
    operation = {
        "operationId": f"ask{path.replace('/', '_')}_get",
        "responses": {"200": {"content": {"application/json": reference}}},
    }
    return {"paths": {path: {"get": operation}}, "components": {"schemas": schemas}}


def test_a_schema_that_two_services_mean_differently_is_named_after_each() -> None:
    shared = {"type": "string", "title": "Colour"}
    document = merged(
        {
            "accounts": _document("/me", {"Health": _HEALTH, "Colour": shared}),
            "visual_analysis": _document("/health", {"Health": _HEALTH | {"required": ["model"]}, "Colour": shared}),
        }
    )
    assert document["components"]["schemas"].keys() == {"AccountsHealth", "VisualAnalysisHealth", "Colour"}
    assert document["components"]["schemas"]["AccountsHealth"]["title"] == "AccountsHealth"
    operation = document["paths"]["/api/v1/visual-analysis/health"]["get"]
    assert "#/components/schemas/VisualAnalysisHealth" in json.dumps(operation)
    assert (operation["operationId"], operation["tags"]) == ("ask", ["visual_analysis"])


def test_the_client_has_every_endpoint_of_every_service(tmp_path: Path) -> None:
    folder = generate(tmp_path / "client")
    paths = set()
    for service in SERVICES.values():
        for file in (folder / api_client.PACKAGE / "api" / service.name).glob("[!_]*.py"):
            paths |= {
                line.split('"')[3] for line in file.read_text().splitlines() if line.strip().startswith('"url": "/')
            }
    assert APPS.keys() == SERVICES.keys()
    documented = merged({name: app.openapi() for name, app in APPS.items()})["paths"]
    assert paths == set(documented)
    # Every module of it is importable, beside its models.
    modules = [
        ".".join(file.relative_to(folder).with_suffix("").parts)
        for file in (folder / api_client.PACKAGE).rglob("*.py")
        if file.name != "__init__.py"
    ]
    code = f"import importlib\nfor name in {modules!r}: importlib.import_module(name)"
    subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(folder)},
        cwd=tmp_path,
        check=True,
        timeout=120,
    )


def test_a_document_that_the_generator_does_not_understand_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_client, "merged", lambda _: {"openapi": "3.1.0"})
    with pytest.raises(DataError, match="no client was generated"):
        generate(tmp_path / "client")


def test_the_example_is_short() -> None:
    assert len((repo_root() / "docs" / "people.py").read_text().splitlines()) <= 80

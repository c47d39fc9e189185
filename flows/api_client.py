"""A typed Python client of all services, generated from their OpenAPI documents.

    python -m flows.api_client FOLDER     # or: make client

The four documents become one, whose paths are those behind a gateway; openapi-python-client writes the package `aura_client`
from it (httpx, attrs; one function per endpoint, with a synchronous and an asynchronous form). It is generated where it is
needed and kept nowhere: so it is never older than the endpoints. The WebSocket has no place in OpenAPI.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from aura.errors import DataError
from bentos.accounts.service import app as accounts
from bentos.conversational_ai.service import app as conversational_ai
from bentos.outfit_recommendation.service import app as outfit_recommendation
from bentos.visual_analysis.service import app as visual_analysis
from flows.services import SERVICES

PACKAGE = "aura_client"
_CONFIG = {
    "project_name_override": "aura-client",
    "package_name_override": PACKAGE,
    "post_hooks": [],
    "content_type_overrides": {"image/jpeg": "application/octet-stream"},
}
_TIMEOUT_SECONDS = 300
APPS = {
    "visual_analysis": visual_analysis,
    "outfit_recommendation": outfit_recommendation,
    "conversational_ai": conversational_ai,
    "accounts": accounts,
}
"""By name of the service, as in `flows.services.SERVICES`."""


def merged(documents: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """One OpenAPI document of several.

    A schema that two services name alike and mean differently is named after its service. An operation is named after its
    function, and tagged with its service.

    Args:
        documents: by name of the service.

    Raises:
        DataError: two endpoints of a service are named alike; the generator would drop one of them.
    """
    schemas: dict[str, Any] = {}
    security: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for name, document in documents.items():
        parts = _renamed(document, _clashing(name, documents), "".join(word.title() for word in name.split("_")))
        schemas |= parts["components"]["schemas"]
        security |= parts["components"].get("securitySchemes", {})
        names: list[str] = []
        for path, item in parts["paths"].items():
            for method, operation in item.items():
                # FastAPI adds path and method to the name of the function.
                operation["operationId"] = operation["operationId"].removesuffix(re.sub(r"\W", "_", f"{path}_{method}"))
                operation["tags"] = [name]
                names.append(operation["operationId"])
            paths[SERVICES[name].path + path] = item
        if twice := {operation for operation in names if names.count(operation) > 1}:
            raise DataError(f"{name} has two endpoints named {', '.join(sorted(twice))}", hint="rename their functions")
    return {
        "openapi": "3.1.0",
        "info": {"title": "Aura", "version": version("aura-ai-platform")},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": security},
    }


def generate(folder: Path) -> Path:
    """Write the client's project into `folder`, which is replaced; returns the folder to import `aura_client` from.

    Raises:
        DataError: the generator refused the document, or is not installed.
    """
    document = merged({name: app.openapi() for name, app in APPS.items()})
    with tempfile.TemporaryDirectory(prefix="aura-client-") as scratch:
        source, config = Path(scratch) / "openapi.json", Path(scratch) / "config.yaml"
        source.write_text(json.dumps(document), encoding="utf-8")
        config.write_text(yaml.safe_dump(_CONFIG), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "openapi_python_client",
            "generate",
            "--path",
            str(source),
            "--config",
            str(config),
        ]
        command += ["--output-path", str(folder), "--meta", "setup", "--overwrite", "--fail-on-warning"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
    if done.returncode:
        raise DataError(
            f"no client was generated: {(done.stdout + done.stderr).strip()[:2000]}",
            hint="`make setup` installs openapi-python-client; what it does not understand is an endpoint's schema",
        )
    return folder


def _clashing(name: str, documents: Mapping[str, dict[str, Any]]) -> set[str]:
    """Schemas of one service that another service means differently."""
    own = documents[name]["components"]["schemas"]
    others = [document["components"]["schemas"] for other, document in documents.items() if other != name]
    return {schema for schema, meaning in own.items() if any(other.get(schema, meaning) != meaning for other in others)}


def _renamed(document: dict[str, Any], clashing: set[str], prefix: str) -> dict[str, Any]:
    """A copy of a document in which some schemas have a prefix."""
    text = json.dumps(document)
    for schema in clashing:
        text = text.replace(f'"#/components/schemas/{schema}"', f'"#/components/schemas/{prefix}{schema}"')
    copy: dict[str, Any] = json.loads(text)
    schemas = copy["components"]["schemas"]
    for schema in clashing:
        schemas[prefix + schema] = schemas.pop(schema) | {"title": prefix + schema}
    return copy


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m flows.api_client FOLDER")
    print(f"{PACKAGE} is in {generate(Path(sys.argv[1]))}")


if __name__ == "__main__":
    main()

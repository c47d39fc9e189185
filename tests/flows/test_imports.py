"""Imports inside functions hide what a module needs, so that each has a reason that CONTRIBUTING.md gives."""

from __future__ import annotations

import ast
import subprocess
from fnmatch import fnmatch

from aura.fingerprints import PACKAGES
from aura.paths import repo_root

ALLOWED = {
    "aura/local_mlflow.py": "training runs without MLflow when tracking is off",
    "aura/tracking.py": "training runs without MLflow when tracking is off",
    "bentos/*/model.py": "the service beside the runner never needs torch",
    "bentos/serving/assets.py": "the service beside the runner never needs torch or MLflow",
    "bentos/serving/settings.py": "every command reads the settings",
    "dataprep/importers/__init__.py": "every command reads the table of importers",
    "flows/bento_contents.py": "every command reads the table of services",
    "flows/cli/*.py": "`aura --help` takes less than a second",
    "flows/dvc_stage.py": "DVC is loaded after the arguments are checked",
    "flows/prefect_server.py": "Prefect reads its environment when it is imported",
    "flows/recorded_answers.py": "the package stage loads torch for the chat alone",
    "flows/service_smoke_test.py": "every command reads the table of services",
    "inference/*/smoke_test.py": "every command reads the specs",
    "inference/chat/openai_backend.py": "its client is loaded when such a back end is chosen",
    "inference/engines/*.py": "OpenVINO is loaded where it is tried",
    "inference/image_encoder.py": "an encoder's library is loaded when it is chosen",
    "inference/text_embedding.py": "sentence-transformers takes seconds",
    "training/*/spec.py": "every command reads the specs",
    "training/detection/engines.py": "a machine that trains may have no OpenVINO",
    "training/detection/int8.py": "NNCF is loaded in a process of its own",
    "training/device.py": "a stage imports torch without garbage collections, when it begins its work",
}


def test_imports_stand_at_the_top_except_for_a_reason() -> None:
    files = subprocess.run(
        ["git", "ls-files", *(f"{package}/*.py" for package in PACKAGES)],
        cwd=repo_root(), capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    inside = {
        file
        for file in files
        for function in ast.walk(ast.parse((repo_root() / file).read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert not {file for file in inside if not any(fnmatch(file, pattern) for pattern in ALLOWED)}
    assert not {pattern for pattern in ALLOWED if not any(fnmatch(file, pattern) for file in inside)}, (
        "no longer needed"
    )


def test_contributing_names_them_and_the_readme_every_file() -> None:
    contributing = (repo_root() / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert not [pattern for pattern in ALLOWED if pattern not in contributing]
    readme = (repo_root() / "README.md").read_text(encoding="utf-8")
    for file in subprocess.run(
        ["git", "ls-files", "flows/*.py", "bentos/*.py", "training/*.py"],
        cwd=repo_root(), capture_output=True, text=True, check=True,
    ).stdout.split():  # fmt: skip
        folder, _, name = file.partition("/")
        shared = name.rpartition("/")[2]
        named = {name, f"<{'model' if folder == 'training' else 'service'}>/{shared}"}
        assert shared == "__init__.py" or any(f"`{one}`" in readme for one in named), file

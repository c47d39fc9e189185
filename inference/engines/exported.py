"""What training leaves beside a detector's weights for the engines: a graph, and what each engine is worth on labelled photos."""

from __future__ import annotations

from pathlib import Path

from aura.artifact import read_json
from aura.errors import ArtifactError

GRAPH = "openvino/network.xml"
"""The weights lie beside it in a file of the same stem."""
COMPARED = "openvino/compared.json"
"""AP50 on the validation split by engine, and those that lose against torch and must not serve."""


def refused_engines(artifact: Path) -> frozenset[str]:
    """Names of the engines that must not serve an artifact; none where training compared none.

    Raises:
        ArtifactError: the file is damaged.
    """
    file = artifact / COMPARED
    if not file.is_file():
        return frozenset()
    content = read_json(file, "the comparison of the engines")
    try:
        return frozenset(map(str, content["refused"]))
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{file} does not compare engines: {error!r}", hint="train again, or roll back") from error

"""What training leaves beside a detector's weights for the engines: graphs, and what each engine is worth on labelled photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from aura.artifact import read_json, write_json
from aura.errors import ArtifactError

GRAPH = "openvino/network.xml"
"""In fp32. The weights lie beside it in a file of the same stem."""
INT8_GRAPH = "openvino/network-int8.xml"
_COMPARED = "openvino/compared.json"


@dataclass(frozen=True, kw_only=True)
class ComparedEngines:
    """The engines of the processor that trained, compared with torch.

    Attributes:
        ap50: on the validation split, by engine.
        refused: engines that lose AP50 and must not serve.
        found: what each of the others finds in the smoke test's photos (`inference.detection.smoke_test.found_in`). Rounding
            moves scores of single boxes by more than what tells one network from another, so an engine is known by its own.
    """

    ap50: Mapping[str, float]
    refused: Sequence[str]
    found: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]] = field(default_factory=dict)

    def write(self, artifact: Path) -> None:
        """Into an artifact that is not finished yet."""
        write_json(artifact / _COMPARED, asdict(self))


_FORMAT = TypeAdapter(ComparedEngines)


def compared_engines(artifact: Path) -> ComparedEngines:
    """What training found; nothing where it compared none.

    Raises:
        ArtifactError: the file is damaged.
    """
    file = artifact / _COMPARED
    if not file.is_file():
        return ComparedEngines(ap50={}, refused=[])
    try:
        return _FORMAT.validate_python(read_json(file, "the comparison of the engines"))
    except ValidationError as error:
        [first, *_] = error.errors()
        raise ArtifactError(
            f"{file} does not compare engines: {first['loc']}: {first['msg']}", hint="train again, or roll back"
        ) from error

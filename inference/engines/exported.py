"""What training leaves beside a detector's weights for the engines: graphs, and what each engine is worth on labelled photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

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
        found: what each other engine finds in the smoke test's photos (`inference.detection.smoke_test.found_in`). Rounding moves
            scores of single boxes by more than what tells one network from another, so an engine is known by its own.
    """

    ap50: Mapping[str, float] = field(default_factory=dict)
    refused: Sequence[str] = ()
    found: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]] = field(default_factory=dict)

    def write(self, artifact: Path) -> None:
        """Into an artifact that is not finished yet."""
        write_json(artifact / _COMPARED, asdict(self))


def compared_engines(artifact: Path) -> ComparedEngines:
    """What training found; nothing where it compared none.

    Raises:
        ArtifactError: the file is damaged.
    """
    file = artifact / _COMPARED
    if not file.is_file():
        return ComparedEngines()
    content = read_json(file, "the comparison of the engines")
    try:
        # `found` came later than the others.
        return ComparedEngines(ap50=content["ap50"], refused=content["refused"], found=content.get("found", {}))
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{file} does not compare engines: {error!r}", hint="train again, or roll back") from error

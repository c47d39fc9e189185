"""What all requests share, in bodies of JSON and in queries: unknown fields are refused, blanks around a text do not count."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from bentos.serving.error_text import MAX_PROBLEMS

Text = Annotated[str, StringConstraints(strip_whitespace=True)]
"""Text without the blanks around it; limits on its length hold for the rest."""


PictureBase64 = Annotated[
    str,
    Field(json_schema_extra={"format": "byte", "contentEncoding": "base64", "contentMediaType": "image/*"}),
]
"""A picture's file as base64; see `bentos.serving.base64_text`."""


class RequestBody(BaseModel):
    """Base of a body, of the objects in it, and of a query."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few_unknown_fields(cls, values: Any) -> Any:
        # pydantic makes an error of each; the first ten are shown, but a hundred thousand take seconds to make.
        if isinstance(values, dict) and len(values) > len(cls.model_fields) + MAX_PROBLEMS:
            raise ValueError(f"{len(values)} fields; known are {', '.join(cls.model_fields)}")
        return values

"""Files that callers send as base64 in JSON, however their tools write it: in lines, as a data URL, for URLs, unpadded."""

from __future__ import annotations

import base64
import re

from aura.errors import InvalidRequestError
from bentos.serving.images import refuse_large
from bentos.serving.settings import ServingSettings

_DATA_URL = re.compile(r"\s*data:([^,]{0,200}),", re.IGNORECASE)
_LINE_BREAKS = b" \t\r\n\v\f"
_OTHERS = re.compile(rb"[^A-Za-z0-9+/]")
_HINT = "send the file's bytes as base64, for example what `base64 photo.jpg` prints"


def bytes_of_base64(text: str, limits: ServingSettings, where: str) -> bytes:
    """The file that was sent as base64.

    Raises:
        InvalidRequestError: too large, or not base64; `where` names the field.
    """
    encoded = _payload(text, where).rstrip(b"=")
    refuse_large(len(encoded) * 3 // 4, limits, where)
    if (other := _OTHERS.search(encoded)) is not None:
        raise InvalidRequestError(
            f"{where} is not base64: character {other.group().decode()!r} at position {other.start()}", hint=_HINT
        )
    if len(encoded) % 4 == 1:
        raise InvalidRequestError(f"{where} is not base64: a character is missing or too many", hint=_HINT)
    return base64.b64decode(encoded + b"=" * (-len(encoded) % 4))


def _payload(text: str, where: str) -> bytes:
    """The base64 characters alone, in the standard alphabet."""
    start = 0
    if (prefix := _DATA_URL.match(text)) is not None:
        if not prefix[1].rstrip().lower().endswith("base64"):
            raise InvalidRequestError(f"{where} is a data URL without ;base64", hint=_HINT)
        start = prefix.end()
    try:
        encoded = text[start:].encode("ascii")
    except UnicodeEncodeError as error:
        raise InvalidRequestError(
            f"{where} is not base64: character {text[start + error.start]!r} at position {error.start}", hint=_HINT
        ) from None
    return encoded.translate(bytes.maketrans(b"-_", b"+/"), delete=_LINE_BREAKS)

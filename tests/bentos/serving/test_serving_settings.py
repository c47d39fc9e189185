"""Limits of the services that belong together."""

from __future__ import annotations

import pytest

from aura.errors import SettingsError
from aura.settings import validate
from bentos.serving.settings import ServingSettings


def test_a_request_must_have_room_for_a_picture() -> None:
    with pytest.raises(SettingsError, match="max_body_bytes is 500, less than max_image_bytes, which is 1000"):
        validate(ServingSettings, {"max_body_bytes": 500, "max_image_bytes": 1000}, "serving")
    assert ServingSettings(max_body_bytes=1000, max_image_bytes=1000).max_body_bytes == 1000


def test_an_answer_must_end_before_the_service_gives_it_up() -> None:
    with pytest.raises(SettingsError, match=r"serving\.chat_timeout_seconds"):
        validate(ServingSettings, {"chat_timeout_seconds": 541}, "serving")

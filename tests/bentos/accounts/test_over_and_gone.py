"""Tokens that are good by themselves, of sessions that are over and of people who have gone: no data for them."""

from __future__ import annotations

import uuid
from typing import Any

from bentos.serving.tokens import Caller
from tests.bentos.accounts.conftest import PASSWORD, Api, Tokens
from tests.bentos.serving.test_every_endpoint import OPEN, OPEN_OF_ACCOUNTS, app_of, endpoints

BODIES: dict[str, Any] = {
    "/password": {"current_password": PASSWORD, "new_password": "another password"},
    "/deletion": {"password": PASSWORD},
    "/consent": {"may_learn": True},
    "/feedback": {"kind": "outfit", "verdict": "saved", "item_ids": ["a"]},
    "/wardrobe": {"category": "tops", "title": "x"},
}


def test_a_session_that_is_over_reaches_no_data(api: Api, ada: Tokens) -> None:
    """Its access token is good for some minutes more, which the service does not go by."""
    assert api.client.post("/sign-out", json={}, headers=ada.headers).status_code == 204
    free = OPEN | OPEN_OF_ACCOUNTS | {"/sign-out"}
    for method, path in endpoints(app_of("accounts")):
        if path not in free:
            body = BODIES.get(path, {"messages": [{"role": "user", "content": "x"}], "category": "tops", "title": "x"})
            answer = api.client.request(
                method, path, headers=ada.headers, json=body if method in ("POST", "PUT") else None
            )
            assert answer.status_code in (401, 415), (method, path, answer.text)


def test_a_token_of_somebody_who_has_gone_reaches_no_data(api: Api, ada: Tokens) -> None:
    caller = Caller(user_id=uuid.uuid4(), session_id=uuid.uuid4(), role="admin")
    token = app_of("accounts").state.auth.keys.signed(caller)
    for path in ("/me", "/wardrobe", "/conversations", "/feedback", "/export", "/users"):
        assert api.client.get(path, headers={"authorization": f"Bearer {token}"}).status_code == 401, path
    assert api.me(ada).status_code == 200

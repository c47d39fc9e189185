"""Who is answered: tokens of every wrong kind, and addresses of other machines while nobody is asked who they are."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import WebSocket
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from aura.errors import SettingsError
from bentos.accounts.access_tokens import AccessTokens
from bentos.accounts.signing_keys import SigningKeys
from bentos.serving.app import answer_unknown_paths, apply_settings, make_app
from bentos.serving.auth import AuthRules, SignedIn, read_auth, refuse_open_door
from bentos.serving.settings import ServingSettings
from bentos.serving.tokens import Caller, SharedSecret, key_id

SECRET = "0123456789abcdef0123456789abcdef"
CALLER = Caller(user_id=uuid.uuid4(), session_id=uuid.uuid4(), role="user")

app = make_app("Aura test", "Answers who calls.", open_paths=("/open",))


@app.get("/anybody")
async def anybody() -> str:
    return "hello"


@app.get("/me")
async def me(caller: SignedIn) -> str:
    return str(caller.user_id)


@app.get("/open")
async def open_to_all() -> str:
    return "open"


@app.get("/health")
async def health() -> str:
    return "up"


@app.websocket("/ws")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")


answer_unknown_paths(app)


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    return SigningKeys(tmp_path / "keys")


@pytest.fixture
def tokens(keys: SigningKeys) -> AccessTokens:
    return AccessTokens(keys, 600)


@pytest.fixture
def client(tokens: AccessTokens) -> Iterator[TestClient]:
    apply_settings(app, ServingSettings(), AuthRules(required=True, keys=tokens))
    with TestClient(app) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_a_token_is_needed_and_one_is_enough(client: TestClient, tokens: AccessTokens) -> None:
    answer = client.get("/anybody")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["error"]["code"] == "unauthenticated"
    assert client.get("/anybody", headers=bearer(tokens.signed(CALLER))).status_code == 200
    assert client.get("/me", headers=bearer(tokens.signed(CALLER))).json() == str(CALLER.user_id)
    assert client.get("/anybody", params={"access_token": tokens.signed(CALLER)}).status_code == 401


def test_health_docs_and_open_endpoints_need_none_and_nothing_else_does_not(client: TestClient) -> None:
    for path in ("/health", "/openapi.json", "/docs", "/docs/swagger-ui.css", "/open"):
        assert client.get(path).status_code == 200, path
    for path in ("/nothing", "/docsx", "/health2", "/Open", "/open/", "//open", "/docs/../anybody"):
        assert client.get(path).status_code == 401, path


def forged(tokens: AccessTokens, **changes: Any) -> str:
    """A token with other claims, signed with the real key."""
    key_id_, key = tokens._keys.newest  # type: ignore[union-attr]
    claims = jwt.decode(tokens.signed(CALLER), options={"verify_signature": False}) | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, "EdDSA", {"kid": key_id_, "typ": "at+jwt"})


def with_header(tokens: AccessTokens, **changes: Any) -> str:
    """A good token whose header says something else."""
    header, body, signature = tokens.signed(CALLER).split(".")
    said = json.loads(base64.urlsafe_b64decode(header + "==")) | changes
    coded = base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()
    return ".".join((coded, body, signature))


def _unsigned(tokens: AccessTokens) -> str:
    claims = jwt.decode(tokens.signed(CALLER), options={"verify_signature": False})
    return jwt.encode(claims, "", "none", {"typ": "at+jwt", "kid": tokens._keys.newest[0]})  # type: ignore[union-attr]


def _of_another_key(tokens: AccessTokens) -> str:
    key = Ed25519PrivateKey.generate()
    claims = jwt.decode(tokens.signed(CALLER), options={"verify_signature": False})
    return jwt.encode(claims, key, "EdDSA", {"typ": "at+jwt", "kid": tokens._keys.newest[0]})  # type: ignore[union-attr]


def _public_key_as_secret(tokens: AccessTokens) -> str:
    """The classic confusion: HS256 with the published key for a secret."""
    id_, key = tokens._keys.newest  # type: ignore[union-attr]
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    claims = jwt.decode(tokens.signed(CALLER), options={"verify_signature": False})
    return jwt.encode(claims, public, "HS256", {"typ": "at+jwt", "kid": id_})


def _tampered(tokens: AccessTokens) -> str:
    header, body, signature = tokens.signed(CALLER).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "==")) | {"role": "admin"}
    coded = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return ".".join((header, coded, signature))


BAD: dict[str, Callable[[AccessTokens], str]] = {
    "expired": lambda tokens: forged(tokens, exp=int(time.time()) - 60),
    "from the future": lambda tokens: forged(tokens, iat=int(time.time()) + 3600),
    "of another audience": lambda tokens: forged(tokens, aud="shop"),
    "of another issuer": lambda tokens: forged(tokens, iss="somebody"),
    "without an end": lambda tokens: forged(tokens, exp=None),
    "without a session": lambda tokens: forged(tokens, sid=None),
    "of a role that there is not": lambda tokens: forged(tokens, role="root"),
    "of no user": lambda tokens: forged(tokens, sub="admin"),
    "tampered with": _tampered,
    "of another key": _of_another_key,
    "alg: none": _unsigned,
    "signed with the public key": _public_key_as_secret,
    "that says another algorithm": lambda tokens: with_header(tokens, alg="HS256"),
    "of an unknown key": lambda tokens: with_header(tokens, kid="other"),
    "of another type": lambda tokens: with_header(tokens, typ="JWT"),
    "without a signature": lambda tokens: tokens.signed(CALLER).rpartition(".")[0] + ".",
    "no token": lambda _: "x.y.z",
    "without dots": lambda _: "x",
    "very long": lambda _: "x" * 10_000,
}


@pytest.mark.parametrize("kind", BAD)
def test_a_token_that_is_not_good_is_refused(client: TestClient, tokens: AccessTokens, kind: str) -> None:
    token = BAD[kind](tokens)
    answer = client.get("/anybody", headers=bearer(token))
    assert answer.status_code == 401
    assert token not in answer.text
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/ws", headers=bearer(token)):
        pass
    assert refused.value.status_code == 401


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer  ", "Basic YTpi", "x"])
def test_an_authorization_of_another_kind_is_refused(client: TestClient, value: str) -> None:
    assert client.get("/anybody", headers={"authorization": value}).status_code == 401


def test_two_keys_are_live_and_a_key_that_was_rotated_out_is_not(
    client: TestClient, tokens: AccessTokens, keys: SigningKeys
) -> None:
    first = tokens.signed(CALLER)
    keys.rotate()
    second = tokens.signed(CALLER)
    assert [client.get("/me", headers=bearer(token)).status_code for token in (first, second)] == [200, 200]
    assert [key["kid"] for key in tokens.published()] == [
        jwt.get_unverified_header(token)["kid"] for token in (first, second)
    ]
    keys.rotate()
    assert [client.get("/me", headers=bearer(token)).status_code for token in (first, second)] == [401, 200]


def test_a_shared_secret_signs_and_checks_on_one_machine(tmp_path: Path) -> None:
    tokens = AccessTokens(SECRET, 600)
    assert tokens.published() == []
    apply_settings(app, ServingSettings(), AuthRules(required=True, keys=SharedSecret(SECRET)))
    with TestClient(app) as client:
        assert client.get("/me", headers=bearer(tokens.signed(CALLER))).status_code == 200
        assert client.get("/me", headers=bearer(AccessTokens(SECRET[::-1], 600).signed(CALLER))).status_code == 401
        other = AccessTokens(SigningKeys(tmp_path), 600)
        assert client.get("/me", headers=bearer(other.signed(CALLER))).status_code == 401


def test_a_browser_opens_a_websocket_with_a_subprotocol(client: TestClient, tokens: AccessTokens) -> None:
    offered = ["aura", f"aura.bearer.{tokens.signed(CALLER)}"]
    with client.websocket_connect("/ws", subprotocols=offered) as websocket:
        assert websocket.accepted_subprotocol == "aura"
        assert websocket.receive_text() == "hello"
    for wrong in ([], ["aura"], ["aura", "aura.bearer.x.y.z"]):
        with pytest.raises(WebSocketDenialResponse), client.websocket_connect("/ws", subprotocols=wrong):
            pass
    with pytest.raises(WebSocketDenialResponse), client.websocket_connect(f"/ws?token={tokens.signed(CALLER)}"):
        pass


def test_the_document_says_what_needs_a_token(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert document["paths"]["/me"]["get"]["security"] == [{"token": []}]
    assert "security" not in document["paths"]["/open"]["get"]


def test_the_document_says_where_a_token_is_not_needed() -> None:
    apply_settings(app, ServingSettings(), AuthRules(required=False, keys=None))
    document = TestClient(app).get("/openapi.json").json()
    assert document["paths"]["/anybody"]["get"]["security"] == [{"token": []}, {}]


@pytest.fixture
def off(tokens: AccessTokens) -> None:
    apply_settings(app, ServingSettings(), AuthRules(required=False, keys=tokens))


@pytest.mark.usefixtures("off")
@pytest.mark.parametrize(
    "base", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000", "http://127.1.2.3"]
)
def test_off_answers_this_machine_and_checks_a_token_that_is_sent(base: str, tokens: AccessTokens) -> None:
    with TestClient(app, base_url=base) as client:
        assert client.get("/anybody").json() == "hello"
        assert client.get("/me").status_code == 401, "nobody is asked, so nobody is known"
        assert client.get("/me", headers=bearer(tokens.signed(CALLER))).status_code == 200
        assert client.get("/anybody", headers=bearer(_tampered(tokens))).status_code == 401
        assert client.get("/anybody", headers=bearer("sk-any")).json() == "hello", "the key of an OpenAI client"
        assert client.get("/me", headers=bearer("sk-any")).status_code == 401


@pytest.mark.usefixtures("off")
@pytest.mark.parametrize("base", ["http://192.0.2.7:8000", "http://[2001:db8::1]:8000", "http://shop.example"])
def test_off_refuses_every_other_address(base: str, tokens: AccessTokens) -> None:
    with TestClient(app, base_url=base) as client:
        answer = client.get("/anybody", headers=bearer(tokens.signed(CALLER)))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
        assert "AURA_AUTH=on" in answer.json()["error"]["hint"]
        assert client.get("/open").status_code == 403
        assert client.get("/health").status_code == 200
        with pytest.raises(WebSocketDenialResponse), client.websocket_connect(f"{base.replace('http', 'ws', 1)}/ws"):
            pass


@pytest.mark.usefixtures("off")
@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "via", "x-real-ip"])
def test_off_refuses_what_a_proxy_brings_from_elsewhere(header: str) -> None:
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        for came_from in ("192.0.2.1", "127.0.0.1, 192.0.2.1", "192.0.2.1, 127.0.0.1", "unknown", ""):
            assert client.get("/anybody", headers={header: came_from}).status_code == 403, came_from
        if header.startswith("x-"):
            assert client.get("/anybody", headers={header: "127.0.0.1, ::1"}).status_code == 200


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"AURA_AUTH": "yes"}, "AURA_AUTH is 'yes'"),
        ({"AURA_AUTH": "on"}, "nothing to check tokens with"),
        ({"JWT_SECRET_KEY": "short"}, "JWT_SECRET_KEY has 5 bytes"),
    ],
)
def test_rules_that_protect_nobody_are_refused(environ: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        read_auth(environ)


def test_off_is_the_default_and_refuses_to_listen_to_a_network() -> None:
    assert not read_auth({}).required
    refuse_open_door("127.0.0.1", {})
    refuse_open_door("::1", {})
    refuse_open_door("0.0.0.0", {"AURA_AUTH": "on", "JWT_SECRET_KEY": SECRET})
    refuse_open_door("0.0.0.0", {"AURA_AUTH": "on"})  # the address of the keys is given to the services later
    for host in ("0.0.0.0", "::", "192.0.2.1", "db.example"):
        with pytest.raises(SettingsError, match="AURA_AUTH is off: everybody"):
            refuse_open_door(host, {})


def test_a_key_has_its_standard_thumbprint() -> None:
    """RFC 8037, appendix A.3."""
    x = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    assert key_id(Ed25519PublicKey.from_public_bytes(x)) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"

"""HTTP endpoints of the accounts service. It has no runner: its work is the database's, and bcrypt's beside the event loop.

Here are the endpoints that need no token; those of people who have signed in are in `own_account.py`, `wardrobe.py`,
`conversations.py` and `feedback.py`; `pages.py` lets administrators to the operators' pages behind the gateway.
"""

from __future__ import annotations

import os
from typing import Annotated

import bentoml
from fastapi import Depends, Form, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from bentos.accounts import conversations, feedback, own_account, pages, wardrobe
from bentos.accounts.access_tokens import AccessTokens
from bentos.accounts.accounts import Accounts
from bentos.accounts.conversations import ConversationStore
from bentos.accounts.passwords import Passwords
from bentos.accounts.pictures import Pictures, pictures_folder
from bentos.accounts.readiness import DatabaseReadiness
from bentos.accounts.schemas import AccountsHealth, KeySet, RefreshRequest, Registered, Registration, TokenPair
from bentos.accounts.sign_in_limits import SignInLimits
from bentos.accounts.signing_keys import SigningKeys, keys_folder
from bentos.accounts.wardrobe import Wardrobes
from bentos.serving.app import answer_unknown_paths, apply_settings, make_app
from bentos.serving.assets import Assets
from bentos.serving.auth import AuthRules, shared_secret
from bentos.serving.bentoml_options import service_options
from bentos.serving.decoders import ImageDecoder
from bentos.serving.docs_page import root_page
from bentos.serving.errors import TOO_MANY, NotReadyBody
from bentos.serving.metrics import metrics_app
from bentos.serving.process import HttpPart, start_process
from stores import encryption
from stores.address import required_url
from stores.database import Database
from stores.encryption import TextCipher

PATH = "/api/v1/accounts"
app = make_app(
    "Aura accounts", "Who people are, their sessions, and what is theirs.",
    image_paths=("/wardrobe", "/wardrobe/photo"), open_paths=("/register", "/token", "/refresh", "/jwks", *pages.OPEN_PATHS),
)  # fmt: skip
for part in (own_account, wardrobe, conversations, feedback, pages):
    app.include_router(part.router)
_REQUEST_SECONDS = 30


class PasswordForm(BaseModel):
    """Form of RFC 6749, section 4.3."""

    model_config = ConfigDict(extra="ignore")

    username: str = Field(max_length=254, description="the e-mail address")
    password: SecretStr = Field(max_length=4096)


def _address(request: Request) -> str:
    """Network address of the caller; behind a proxy that is trusted (`FORWARDED_ALLOW_IPS`), as the proxy says."""
    return request.client.host if request.client else ""


CallerAddress = Annotated[str, Depends(_address)]


@bentoml.service(name="accounts", **service_options(_REQUEST_SECONDS))
@bentoml.asgi_app(app, path=PATH)
@bentoml.asgi_app(metrics_app, path="/")
@bentoml.asgi_app(root_page(app, PATH), path="/")
class AccountsService(HttpPart):
    """Endpoints under `/api/v1/accounts`."""

    def __init__(self, assets: Assets | None = None, database_url: str = "") -> None:
        """BentoML passes nothing: then the assets and the database are those of this process."""
        self._assets = assets or start_process()
        url = database_url or required_url()
        serving = self._assets.serving
        settings = serving.accounts
        self._tokens = AccessTokens(
            shared_secret(os.environ) or SigningKeys(keys_folder()), settings.access_minutes * 60
        )
        self._database = Database(url, serving.database)
        self._passwords = Passwords(settings.bcrypt_cost, settings.waiting_passwords)
        limits = SignInLimits(settings, os.environ.get("AURA_REDIS_URL", ""))
        self._accounts = Accounts(self._database, self._passwords, self._tokens, limits, settings)
        self._decoder = ImageDecoder(serving)
        self._wardrobes = Wardrobes(self._database, Pictures(pictures_folder()), self._decoder, serving)
        self._readiness: DatabaseReadiness = DatabaseReadiness(
            self._database, url, migrate=serving.database.migrate_at_start, then=self._wardrobes.remove_orphans
        )
        app.state.accounts, app.state.wardrobes = self._accounts, self._wardrobes
        app.state.pages = pages.PageSessions(self._accounts, self._tokens, settings.page_hours * 3600)
        app.state.conversations = ConversationStore(self._database, TextCipher(encryption.keys_folder()), settings)
        # People's data is for those who own it, whatever AURA_AUTH says of the other services.
        apply_settings(app, serving, AuthRules(required=True, keys=self._tokens))

    @bentoml.on_startup
    async def begin(self) -> None:
        """Connect to the database."""
        await self._readiness.begin()

    @bentoml.on_shutdown
    async def end(self) -> None:
        """Close the connections, and end the processes that wait for images."""
        self._passwords.close()
        self._decoder.close()
        await self._readiness.end()

    @app.post("/register", status_code=202, responses=TOO_MANY)
    async def register(self, body: Registration, address: CallerAddress) -> Registered:
        """Make an account. The answer is the same where there is one: then the password stays as it was."""
        return Registered(email=await self._accounts.register(body.email, body.password.get_secret_value(), address))

    @app.post("/token", responses=TOO_MANY)
    async def token(self, form: Annotated[PasswordForm, Form()], address: CallerAddress) -> TokenPair:
        """Sign in."""
        return await self._accounts.sign_in(form.username, form.password.get_secret_value(), address)

    @app.post("/refresh")
    async def refresh(self, body: RefreshRequest) -> TokenPair:
        """The next pair of tokens of a session. Each refresh token is good once."""
        return await self._accounts.refresh(body.refresh_token.get_secret_value())

    @app.get("/jwks")
    async def jwks(self) -> KeySet:
        """Public keys, with which everybody can check access tokens alone."""
        return KeySet(keys=self._tokens.published())

    @app.get("/health", responses={503: {"model": NotReadyBody}})
    async def health(self) -> AccountsHealth:
        """Ready, or why not; at once."""
        status = await self._readiness.status()
        return AccountsHealth(state="ready", reasons=[], profile=self._assets.profile, schema_revision=status.revision)


answer_unknown_paths(app)

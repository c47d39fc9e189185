"""Services from the night's Bentos, which change as a whole: new ones start beside the old ones, and then take over.

A Bento holds its models, index and code, so this is how changed code comes to serve. New Bentos start on ports of their own and
are sent real requests; then the front door sends what comes to them, the old ones end what they have under way, and are ended.
Bentos that do not pass never serve, are reported once and are not tried again until others are packed. While both run they need
memory for both.
"""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aura.artifact import read_json
from aura.errors import AuraError, ServiceError, StartError
from aura.supervision import watched
from bentos.accounts.access_tokens import AccessTokens
from bentos.accounts.signing_keys import SigningKeys, keys_folder
from bentos.conversational_ai.outfit_tool import OUTFITS_URL
from bentos.conversational_ai.photo_tool import PHOTOS_URL
from bentos.serving.auth import AUTH, JWKS_URL, SECRET, shared_secret
from bentos.serving.settings import ServingSettings
from bentos.serving.tokens import Caller
from flows import service_smoke_test
from flows.front_door import FrontDoor
from flows.keep_running import KeepRunning, Server
from flows.package import bento_environment, bento_folder, bento_whole
from flows.processes import free_port
from flows.services import SERVICES

LOOK_SECONDS = 2.0
_LOOPBACK = "127.0.0.1"
_TOKEN_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class _Running:
    """Bentos that answer: the tag and address of each service's, and what keeps them running."""

    tags: dict[str, str]
    urls: dict[str, str]
    keeper: KeepRunning
    homes: tempfile.TemporaryDirectory[str]

    def stop(self) -> None:
        self.keeper.stop()
        self.homes.cleanup()


class BlueGreen:
    """Serves what was packed last, and goes on to what is packed next.

    Args:
        record: what the package stage writes: `metrics/package.json` of the working copy.
        logs: folder for the services' logs.
        say: takes a text for people.
        environment: what the services need besides, for example the address of the database.
    """

    def __init__(
        self,
        serving: ServingSettings,
        record: Path,
        logs: Path,
        say: Callable[[str], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._serving, self._record, self._logs, self._say = serving, record, logs, say
        self._environment = dict(environment or {})
        self._running: _Running | None = None
        self._refused: dict[str, str] = {}
        self._door: FrontDoor | None = None

    def start(self) -> None:
        """Start what was packed last, and open the door.

        Raises:
            ServiceError: nothing was packed yet, or it does not answer.
        """
        tags = self._packed()
        if not tags:
            raise ServiceError(f"no Bentos are named by {self._record}", hint="run `aura nightly` first: it packs them")
        running = self._running = self._started(tags)
        ports = {name: SERVICES[name].port(self._serving) for name in running.urls}
        self._door = FrontDoor(self._serving.host, ports, running.urls)
        try:
            self._door.open()
        except OSError as error:
            raise ServiceError(
                f"the services cannot listen on {self._serving.host}, ports {list(ports.values())}: {error}",
                hint="stop what answers there, or move them with serving.ports",
            ) from error
        for name in running.urls:
            self._say(f"{name}: {SERVICES[name].url(self._serving)}/docs, from {running.tags[name]}")

    def follow(self) -> None:
        """Go on to what is packed next, until Ctrl+C."""
        while True:
            time.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Change to what was packed last, if it is something else."""
        tags = self._packed()
        assert self._running is not None, "start() comes first"
        assert self._door is not None, "start() comes first"
        if not tags or tags in (self._running.tags, self._refused):
            return
        try:
            running = self._started(tags)
        except AuraError as error:
            self._refused = tags
            self._say(f"new Bentos do not serve, and are not tried again: {error}")
            return
        before, self._running = self._running, running
        self._door.switch(running.urls, self._serving.chat_timeout_seconds)
        before.stop()
        self._say(f"the services answer from {', '.join(tags.values())} now")

    def stop(self) -> None:
        """Close the door, and end what serves."""
        if self._door is not None:
            self._door.close()
        if self._running is not None:
            self._running.stop()

    def _packed(self) -> dict[str, str]:
        """Service to tag of its Bento; empty while a night is packing, or where a Bento is not whole."""
        try:
            packed = read_json(self._record, "the package record")["bentos"]
        except AuraError:
            return {}
        tags = {name: str(bento["tag"]) for name, bento in packed.items()}
        return tags if all(bento_whole(tag) for tag in tags.values()) else {}

    def _started(self, tags: Mapping[str, str]) -> _Running:
        homes = tempfile.TemporaryDirectory(prefix="aura-bentos-")
        ports = {name: free_port(_LOOPBACK) for name in tags}
        roots = {name: f"http://{_LOOPBACK}:{port}" for name, port in ports.items()}
        environment = bento_environment() | self._environment
        if "accounts" in roots and not {JWKS_URL, SECRET} & os.environ.keys():
            environment[JWKS_URL] = f"{roots['accounts']}{SERVICES['accounts'].path}/jwks"
        for variable, tool in ((PHOTOS_URL, "visual_analysis"), (OUTFITS_URL, "outfit_recommendation")):
            if tool in roots and variable not in os.environ:
                environment[variable] = f"{roots[tool]}{SERVICES[tool].path}"
        servers = [
            self._server(name, tag, ports[name], environment | {"BENTOML_HOME": f"{homes.name}/{name}"})
            for name, tag in tags.items()
        ]
        keeper = KeepRunning(servers, self._serving.start_timeout_seconds, lambda _: None)
        try:
            keeper.start()
            if keeper.problems:
                raise StartError("\n".join(keeper.problems))
            with service_smoke_test.signed_in(_token()):
                for name in tags:
                    SERVICES[name].smoke_test(f"{roots[name]}{SERVICES[name].path}")
        except BaseException:
            keeper.stop()
            homes.cleanup()
            raise
        return _Running(tags=dict(tags), urls=roots, keeper=keeper, homes=homes)

    def _server(self, name: str, tag: str, port: int, environment: dict[str, str]) -> Server:
        service = SERVICES[name]
        url = f"http://{_LOOPBACK}:{port}{service.path}"
        # By its folder, not its tag: BentoML empties the metrics in the home that it starts with.
        folder = str(bento_folder(tag))
        return Server(
            name=name, command=watched("flows.bento_server", "serve", folder, "--host", _LOOPBACK, "--port", str(port)),
            environment=environment,
            log=self._logs / f"serve-{name}.log", health_url=service.health_url(url), page=f"{url}/docs",
        )  # fmt: skip


def _token() -> str:
    """A token for the smoke tests, signed as the accounts service signs; empty where none is needed."""
    if os.environ.get(AUTH) != "on":
        return ""
    tokens = AccessTokens(shared_secret(os.environ) or SigningKeys(keys_folder()), _TOKEN_SECONDS)
    return tokens.signed(Caller(user_id=uuid.uuid4(), session_id=uuid.uuid4(), role="user"))

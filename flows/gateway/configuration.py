"""nginx's configuration, from the template in `deploy/gateway/` and the settings of a profile."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jinja2

from aura.artifact import write_text
from aura.errors import SettingsError, StartError
from aura.paths import home, repo_root
from bentos.serving.auth import refuse_open_door
from flows.gateway.certificate import own_certificate
from flows.gateway.settings import GatewaySettings
from flows.profile import Profile
from flows.services import SERVICES

TEMPLATE = "nginx.conf.j2"
PACKAGE = "nginx-light"
"""Debian's package with nginx and the modules that the template uses."""
_MIME_TYPES = Path("/etc/nginx/mime.types")
_TOOLS = ("mlflow", "prefect", "grafana", "platform_health")
_CORS_HEADERS = (
    "Allow-Origin", "Allow-Methods", "Allow-Headers", "Allow-Credentials", "Expose-Headers", "Max-Age",
)  # fmt: skip
_READ_MARGIN_SECONDS = 30
"""Beyond a service's own deadline: it answers with its reason, where the gateway could only say that nothing came."""


@dataclass(frozen=True, kw_only=True)
class GatewayError:
    """An answer that nginx gives itself, in the body of `bentos.serving.errors.ErrorBody`."""

    status: int
    code: str
    message: str
    hint: str

    @property
    def body(self) -> str:
        """JSON for nginx, which puts the id of the request in."""
        detail = {"code": self.code, "message": self.message, "hint": self.hint, "request_id": "$id_of_request"}
        text = json.dumps({"error": detail})
        assert "'" not in text, "it would end nginx's string"
        return text


_TRY_AGAIN = "try again in 2 seconds"
ERRORS = tuple(
    GatewayError(status=status, code=code, message=message, hint=hint)
    for status, code, message, hint in (
        (400, "invalid_request", "this is no request of HTTP", "see the docs page of the service"),
        (401, "unauthenticated", "this page is for people who have signed in", "sign in at /api/v1/accounts/pages"),
        (403, "forbidden", "this may not be asked from here", "serving.cors_origins names the pages that may call"),
        (404, "not_found", "there is nothing at this address", "services are under /api/v1/, health is at /health"),
        (405, "method_not_allowed", "this address does not take this method", "see the docs page of the service"),
        (408, "too_slow", "the request took too long to arrive", "send it again over a better connection"),
        (413, "too_large", "the request is longer than this address takes", "send less; scale pictures down first"),
        (414, "too_large", "the address is too long", "send what is long in the body"),
        (429, "rate_limited", "one address may not make so many requests", "try again in 1 seconds"),
        (500, "internal", "an unexpected error", "tell the operator the request_id; the log has the details"),
        (502, "overloaded", "the service does not answer", _TRY_AGAIN),
        (503, "overloaded", "the service cannot answer at the moment", _TRY_AGAIN),
        (504, "overloaded", "the service did not answer in time", _TRY_AGAIN),
    )
)


def write_configuration(profile: Profile, folder: Path | None = None) -> Path:
    """Write nginx's configuration with everything that it names; returns its file.

    Args:
        folder: where it goes; `home()/gateway` for a run.

    Raises:
        SettingsError: the gateway would answer a network without asking who calls, or a file that it needs is missing.
    """
    gateway = profile.gateway
    refuse_open_door(gateway.host, setting="gateway.host")
    folder = folder or home() / "gateway"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / "nginx.conf"
    write_text(file, _rendered(profile, folder, _scratch(folder), *certificate_files(gateway, folder)))
    return file


def check_configuration(file: Path) -> None:
    """Let nginx read a configuration.

    Raises:
        StartError: nginx is missing, or refuses it; carries its words.
    """
    done = subprocess.run([program(), "-t", *_ARGUMENTS, "-c", str(file)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StartError(f"nginx refuses {file}:\n{done.stderr}", hint="correct the settings under `gateway:`")


def command(file: Path) -> list[str]:
    """Command that runs nginx on a configuration, in the foreground."""
    return [program(), *_ARGUMENTS, "-c", str(file)]


_ARGUMENTS = ("-e", "stderr")
"""From its first line on; else nginx opens a log of the system before it reads its configuration."""


def program() -> str:
    """Path of nginx, which Debian keeps out of the path of people.

    Raises:
        StartError: it is not installed.
    """
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise StartError("nginx is not installed", hint=f"sudo apt-get install {PACKAGE}")
    return found


def addresses(profile: Profile) -> dict[str, tuple[str, ...]]:
    """HOST:PORT of the replicas of each service."""
    serving = profile.serving
    return {
        name: profile.gateway.upstreams.get(name, (f"{_in_url(serving.host)}:{service.port(serving)}",))
        for name, service in SERVICES.items()
    }


def _rendered(profile: Profile, folder: Path, scratch: Path, certificate: Path, key: Path) -> str:
    gateway, serving = profile.gateway, profile.serving
    replicas: Mapping[str, Sequence[str]] = addresses(profile) | {name: (getattr(gateway, name),) for name in _TOOLS}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(repo_root() / "deploy" / "gateway"), undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    environment.filters["nginx_rate"] = lambda rate: rate.replace("/second", "r/s").replace("/minute", "r/m")
    values: dict[str, Any] = {
        "gateway": gateway,
        "serving": serving,
        "cors_origins": serving.cors_origins,
        "cors_headers": _CORS_HEADERS,
        "services": list(SERVICES.values()),
        "accounts_path": SERVICES["accounts"].path,
        "upstreams": [{"name": name, "addresses": found} for name, found in replicas.items()],
        "errors": ERRORS,
        "sign_in_error": next(error.body for error in ERRORS if error.status == HTTPStatus.UNAUTHORIZED),
        "folder": folder,
        "scratch": scratch,
        "mime_types": _MIME_TYPES,
        "worker_user": "nobody nogroup" if os.geteuid() == 0 else "",
        "certificate": certificate,
        "certificate_key": key,
        "is_given_certificate": bool(gateway.certificate),
        "listen_host": _in_url(gateway.host),
        "drain_seconds": round(serving.drain_seconds),
        "read_seconds": round(serving.answer_seconds) + _READ_MARGIN_SECONDS,
        "streaming_seconds": round(max(serving.chat_timeout_seconds, serving.idle_timeout_seconds))
        + _READ_MARGIN_SECONDS,
    }
    return environment.get_template(TEMPLATE).render(values)


def certificate_files(gateway: GatewaySettings, folder: Path) -> tuple[Path, Path]:
    """The given certificate and key, or ones made in a folder.

    Raises:
        SettingsError: a file that was named cannot be read.
    """
    if not gateway.certificate:
        return own_certificate(folder / "tls", gateway.names)
    given = Path(gateway.certificate), Path(gateway.certificate_key)
    for file in given:
        if not os.access(file, os.R_OK):
            raise SettingsError(
                f"gateway.certificate names {file}, which cannot be read",
                hint="name the PEM files of certificate and key",
            )
    return given


def _scratch(folder: Path) -> Path:
    """Where nginx keeps bodies for a moment. Its workers, where root starts it, cannot enter a private home.

    Raises:
        StartError: somebody else has put something there.
    """
    if os.geteuid() != 0:
        scratch = folder / "scratch"
        scratch.mkdir(exist_ok=True)
        return scratch
    scratch = Path(tempfile.gettempdir()) / f"aura-gateway-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
    with suppress(FileExistsError):
        scratch.mkdir()
        scratch.chmod(0o711)
    found = scratch.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) != 0o711:
        raise StartError(f"{scratch} is not a folder of this account's gateway", hint="remove it")
    return scratch


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host

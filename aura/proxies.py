"""Which calls go through the proxy that the environment names: those to real servers, and none to this machine.

A company network sets `HTTP_PROXY`, and a proxy elsewhere cannot reach 127.0.0.1 here. Our own clients are told so per call
(`direct`); those inside Prefect, MLflow and Lightning read the environment only, so `exempt_loopback` mends it once.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import ssl
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

import httpx

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

logger = logging.getLogger(__name__)


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine; False for what is no URL."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified  # 0.0.0.0: every address of this machine


def direct(url: str) -> dict[str, Any]:
    """Options of an httpx call: a call to this machine reads neither proxies nor certificates from the environment."""
    return {"trust_env": False} if is_loopback(url) else {}


def exempt_loopback(environ: MutableMapping[str, str] | None = None) -> None:
    """Keep the HTTP clients of libraries in this process, and in its children, from calling this machine through a proxy.

    A proxy or a certificate file that no client can use would end each of them before its first call, also where no proxy is
    needed: it is left out, with a warning.
    """
    environ = os.environ if environ is None else environ
    names = [*environ.get("no_proxy", "").split(","), *environ.get("NO_PROXY", "").split(","), *_LOOPBACK]
    exempt = ",".join(dict.fromkeys(name.strip() for name in names if name.strip()))
    environ["no_proxy"] = environ["NO_PROXY"] = exempt
    for name in [name for name in environ if name.lower() in _PROXIES and environ[name]]:
        _leave_out_unless(_usable_proxy, environ, name)
    for name in [name for name in _CERTIFICATES if environ.get(name)]:
        _leave_out_unless(_usable_certificates, environ, name)


def _leave_out_unless(check: Any, environ: MutableMapping[str, str], name: str) -> None:
    try:
        check(environ[name])
    except (OSError, ValueError, ImportError) as error:
        logger.warning("%s is left out: no HTTP client can use it (%s)", name, error)
        del environ[name]


def _usable_proxy(url: str) -> None:
    """Raise what httpx raises when it makes a client for this proxy."""
    httpx.Client(proxy=url if "://" in url else f"http://{url}", trust_env=False).close()


def _usable_certificates(path: str) -> None:
    if not os.path.isdir(path):  # REQUESTS_CA_BUNDLE may be a folder
        ssl.create_default_context(cafile=path)

"""Secrets in addresses: settings are logged with every run, attached to every version and committed with every night."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, urlsplit

_URI = re.compile(r"[A-Za-z][\w+.-]*://\S+")
_DATABASES = ("sqlite", "postgresql", "postgres", "mysql", "mssql")
"""Schemes whose query holds options of the driver."""
_SECRET_NAME = re.compile(r"sig|token|key|secret|pass|pwd|cred|auth|session", re.IGNORECASE)
_PATHS_OF_KEYS = ("sslkey", "ssl_key")
_TOKEN = re.compile(r"(?=.*\d)[\w.=+-]{20,}")
"""A user's name of 20 characters or more with digits: not a person's."""

_AZURE = "AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING"
_AZURE_HOST = ".core.windows.net"
_VARIABLES = {
    "postgresql": "PGPASSWORD", "postgres": "PGPASSWORD", "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
    "azure": _AZURE, "abfs": _AZURE, "abfss": _AZURE, "wasbs": _AZURE,
}  # fmt: skip
_SERVERS = "MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, for an MLflow server"


def refuse_secret(value: str) -> None:
    """Raise a ValueError that names the variable to use instead if `value` is an address with a secret in it."""
    if not _URI.fullmatch(value):
        return
    try:
        parts = urlsplit(value)
        found = _secret_in(parts)
    except ValueError as error:
        raise ValueError(f"not a URI: {error}") from None
    if found:
        raise ValueError(
            f"holds {found}, and settings are logged with every run and committed with every night; leave it to the "
            f"environment: {_variable(parts)}"
        )


def without_secrets(text: str) -> str:
    """A text as it may be shown: of the addresses in it passwords, long names, queries and fragments are hidden."""
    text = re.sub(r"(?<=://)[^/?#\s@]*@", lambda user: _without_password(user[0]), text)
    return re.sub(r"(://[^?#\s]*[?#])[^'\"\s]+", r"\1***", text)


def _without_password(user_at: str) -> str:
    name, colon, _ = user_at.removesuffix("@").partition(":")
    return ("***" if _TOKEN.fullmatch(name) else name) + (":***@" if colon else "@")


def _secret_in(parts: SplitResult) -> str:
    """What in an address is a secret, or may be one; empty when nothing is."""
    if parts.password:
        return "a password"
    if _TOKEN.fullmatch(parts.username or ""):
        return "a token as the user's name"
    if parts.scheme.partition("+")[0] in _DATABASES:
        secret = [
            name for name, _ in parse_qsl(parts.query) if _SECRET_NAME.search(name) and name not in _PATHS_OF_KEYS
        ]
        return f"the secret {', '.join(secret)}" if secret else ""
    if parts.query:
        return "a query (where tokens stand)"
    return "a fragment (where tokens stand)" if parts.fragment and parts.scheme != "file" else ""


def _variable(parts: SplitResult) -> str:
    """Variables for the secret of such an address; an MLflow server may have any."""
    azure = (parts.hostname or "").endswith(_AZURE_HOST)
    own = _AZURE if azure else _VARIABLES.get(parts.scheme.partition("+")[0])
    return f"{own}; {_SERVERS}" if own else f"{_SERVERS}; the file NETRC for another one"

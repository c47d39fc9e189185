"""Where the gateway listens, what it forwards to, and what it admits. Every command reads this: nothing heavy is imported."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from aura.settings import Place, Section


def _network(value: str) -> str:
    ip_network(value)  # a ValueError says what is wrong
    return value


Address = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]):\d{1,5}$")]
"""HOST:PORT."""
Rate = Annotated[str, StringConstraints(pattern=r"^[1-9]\d*/(second|minute)$")]
"""Requests per time, as nginx counts them."""


class GatewaySettings(Section):
    """nginx in front of the services. What web pages may call, and how long a body may be, say the services' own settings
    (`serving.cors_origins`, `serving.max_json_bytes`, `serving.max_body_bytes`)."""

    host: str = Field(default="127.0.0.1", pattern=r"^[0-9a-fA-F:.]+$")
    """IP address to listen on; `0.0.0.0`: every one, which needs `AURA_AUTH=on`."""
    http_port: int = Field(default=8080, ge=1, le=65535)
    """Port whose requests are sent on to HTTPS; 80 on a server."""
    https_port: int = Field(default=8443, ge=1, le=65535)
    """443 on a server."""
    names: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:-]+$")], ...] = (
        "localhost",
        "127.0.0.1",
        "::1",
    )
    """Names and addresses in the certificate that is made where none is given."""
    certificate: Place = ""
    """PEM file with the certificate and those between it and its root. Without one, a certificate that no browser trusts is
    made, and browsers are not told to insist on HTTPS (HSTS)."""
    certificate_key: Place = ""
    """PEM file with its private key."""
    trusted_proxies: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    """Networks of proxies in front of this one, for example `10.0.0.0/8`: what they say of callers (`X-Forwarded-For`,
    `X-Forwarded-Proto`) is believed."""
    upstreams: dict[str, tuple[Address, ...]] = Field(default_factory=dict)
    """Replicas of a service by its name, for example `{visual_analysis: ["127.0.0.1:8000", "127.0.0.1:8010"]}`; one that is
    not named has one, where `aura serve` starts it. `aura up` starts those of this machine."""
    resolver: str = Field(default="", pattern=r"^([0-9.]+(:\d{1,5})?)?$")
    """IPv4 address of a name server, for example Docker's `127.0.0.11`: nginx then asks for the addresses of its upstreams while
    it runs, and all that one name has are its replicas. Empty: names are looked up once, when nginx starts."""
    mlflow: Address = "127.0.0.1:5000"
    """MLflow's server, whose page is at `/mlflow/` for the role admin."""
    prefect: Address = "127.0.0.1:4200"
    """Prefect's server, whose page is at `/prefect/` for the role admin."""
    grafana: Address = "127.0.0.1:3000"
    """Grafana, at `/grafana/` for the role admin."""
    prometheus: Address = "127.0.0.1:9090"
    """Prometheus, which has no page here."""
    platform_health: Address = "127.0.0.1:8005"
    """What answers `/health` for all parts together (`flows/gateway/platform_health.py`)."""
    requests: Rate = "30/second"
    """Requests per caller's address, evened out."""
    requests_at_once: int = Field(default=60, ge=1)
    """Requests beyond that which may come at once."""
    sign_ins: Rate = "30/minute"
    """Passwords and registrations per caller's address, evened out."""
    sign_ins_at_once: int = Field(default=10, ge=1)
    """Passwords beyond that which may come at once."""
    connections: int = Field(default=100, ge=1)
    """Requests and conversations under way per caller's address."""
    client_seconds: int = Field(default=15, ge=1)
    """Seconds between two pieces of what a caller sends, or takes; a slower one is cut off."""
    failures: int = Field(default=2, ge=1)
    """Failures of a replica within `retry_seconds` after which it gets no requests for as long."""
    retry_seconds: int = Field(default=5, ge=1)

    @property
    def https_suffix(self) -> str:
        """`:PORT` behind a host in an address; nothing for HTTPS' own port."""
        return "" if self.https_port == 443 else f":{self.https_port}"

    @model_validator(mode="after")
    def _a_resolver_finds_the_replicas(self) -> Self:
        several = [name for name, replicas in self.upstreams.items() if len(replicas) != 1]
        if self.resolver and several:
            raise ValueError(
                f"with a resolver the replicas are what one name stands for; upstreams has not one for {', '.join(several)}"
            )
        return self

    @model_validator(mode="after")
    def _a_certificate_has_a_key(self) -> Self:
        if bool(self.certificate) != bool(self.certificate_key):
            raise ValueError("certificate and certificate_key are given together, or neither")
        return self

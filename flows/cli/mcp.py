"""`aura mcp`: the services as tools for assistants that speak the Model Context Protocol."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.options import ProfileOption, SetOption
from flows.profile import load_profile
from flows.services import SERVICES


def mcp(
    profile: ProfileOption = "sample",
    overrides: SetOption = None,
    http: Annotated[
        int | None, typer.Option("--http", metavar="PORT", help="serve streamable HTTP at /mcp of this port instead")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="AURA_TOKEN", help="access token, where the services want callers to sign in")
    ] = None,
) -> None:
    """Offer the running services (`aura serve`) as MCP tools, over standard input and output or HTTP.

    A desktop assistant starts it by itself: its command is `aura`, its argument `mcp`.
    """
    from flows.mcp_server import make_server

    settings = load_profile(profile, overrides or ()).serving
    urls = {name: service.url(settings) for name, service in SERVICES.items()}
    if http is None:
        make_server(urls, local_files=True, token=token).run()
    else:
        make_server(urls, local_files=False, token=token).run("streamable-http", host=settings.host, port=http)

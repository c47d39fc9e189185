"""`aura gateway`: nginx's configuration for a profile, written and checked."""

from __future__ import annotations

import typer

from flows.cli.options import ProfileOption, SetOption
from flows.profile import load_profile


def gateway(profile: ProfileOption = "sample", overrides: SetOption = None) -> None:
    """Write nginx's configuration for a profile, let nginx check it, and say how to run it. `aura up` runs it."""
    from flows.gateway.configuration import check_configuration, command, write_configuration

    settings = load_profile(profile, overrides or ())
    file = write_configuration(settings)
    check_configuration(file)
    typer.echo(f"configuration: {file}")
    typer.echo(f"run it: {' '.join(command(file))}")
    typer.echo("after a change of settings: this command again, then the same with -s reload")

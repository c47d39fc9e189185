"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

ProfileOption = Annotated[
    str, typer.Option("--profile", "-p", envvar="AURA_PROFILE", help="name in configs/, or the path of a YAML file")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", metavar="KEY=VALUE", help="override a setting, e.g. detection.max_epochs=3; repeatable"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON for programs instead of a table")]

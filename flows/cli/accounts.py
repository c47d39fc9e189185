"""`aura accounts`: what an operator does to accounts and to the keys of their tokens."""

from __future__ import annotations

import asyncio
from typing import Annotated, cast, get_args

import typer

from aura.errors import InvalidRequestError, NotFoundError
from aura.roles import Role
from stores.settings import DatabaseSettings

app = typer.Typer(no_args_is_help=True, help="Accounts: roles, and the keys that sign tokens.")


@app.command()
def role(
    email: Annotated[str, typer.Argument(help="address of the account")],
    name: Annotated[str, typer.Argument(help="user | admin", metavar="ROLE")],
) -> None:
    """Give an account a role."""
    from bentos.accounts.accounts import normalised
    from flows.database import database
    from stores.database import Database
    from stores.users import User, Users

    if name not in get_args(Role):
        raise InvalidRequestError(f"there is no role {name!r}", hint=f"choose one of {', '.join(get_args(Role))}")
    settings = DatabaseSettings()

    async def give(url: str) -> User | None:
        opened = Database(url, settings)
        await opened.open()
        try:
            return await opened.run(lambda connection: Users(connection).set_role(normalised(email), cast(Role, name)))
        finally:
            await opened.close()

    with database(settings.start_seconds) as url:
        user = asyncio.run(give(url))
    if user is None:
        raise NotFoundError(f"there is no account of {email}", hint="its owner registers first")
    typer.echo(f"{user.email} is {user.role}, from the next refresh of its token on")


@app.command(name="rotate-keys")
def rotate_keys() -> None:
    """Sign access tokens with a new key. The one before stays good for what it has signed; older ones are removed."""
    from bentos.accounts.signing_keys import SigningKeys, keys_folder

    folder = keys_folder()
    typer.echo(f"new tokens are signed with {SigningKeys(folder).rotate()}; the keys are in {folder}")


@app.command(name="rotate-text-keys")
def rotate_text_keys() -> None:
    """Encrypt what people have said with a new key, the old texts too, while services run; the newest two keys stay."""
    from flows.database import database
    from stores.database import Database
    from stores.encryption import TextCipher, keys_folder
    from stores.reencryption import reencrypt

    settings = DatabaseSettings()
    cipher = TextCipher(keys_folder())

    async def again(url: str) -> int:
        opened = Database(url, settings)
        await opened.open()
        try:
            return await reencrypt(opened, cipher)
        finally:
            await opened.close()

    with database(settings.start_seconds) as url:
        key_id = cipher.add_key()
        done = asyncio.run(again(url))
        cipher.forget_old_keys()
    typer.echo(f"{done} texts are encrypted with {key_id} now; the keys are in {keys_folder()}")

"""The user of a request, whose session goes on: what endpoints with people's data ask for."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from bentos.accounts.accounts import Accounts
from bentos.serving.auth import SignedIn
from stores.users import User


async def active_user(request: Request, caller: SignedIn) -> User:
    """The user that the token speaks for.

    Raises:
        UnauthenticatedError: the session is over; the token does not know it yet.
    """
    accounts: Accounts = request.app.state.accounts
    return await accounts.user(caller)


ActiveUser = Annotated[User, Depends(active_user)]

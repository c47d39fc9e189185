"""What people do with their accounts: register, sign in, refresh, sign out, change the password, leave."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from email_validator import EmailNotValidError, validate_email

from aura.errors import InvalidRequestError, UnauthenticatedError
from bentos.accounts.access_tokens import AccessTokens
from bentos.accounts.passwords import Passwords
from bentos.accounts.schemas import TokenPair
from bentos.accounts.settings import AccountsSettings
from bentos.accounts.sign_in_limits import SignInLimits, network_of
from bentos.serving.request_log import logger
from bentos.serving.tokens import Caller
from stores.database import Connection, Database
from stores.sessions import Network, Refused, Sessions
from stores.users import User, Users

_REFRESH_BYTES = 32
_NOBODY = UUID(int=0)


def normalised(email: str) -> str:
    """One spelling of the addresses that reach the same mailbox, as far as that can be known: letters of one size.

    Raises:
        InvalidRequestError: it is no address.
    """
    try:
        found = validate_email(email, check_deliverability=False)
    except EmailNotValidError as error:
        raise InvalidRequestError(
            f"the e-mail address is not valid: {error}", hint="write it as name@example.org"
        ) from None
    return found.normalized.lower()


class Accounts:
    """The accounts service without HTTP.

    Args:
        database: where everything is kept.
        passwords: hashes them.
        tokens: signs access tokens.
        limits: counts attempts.
        settings: how long sessions last.
    """

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        tokens: AccessTokens,
        limits: SignInLimits,
        settings: AccountsSettings,
    ) -> None:
        self._database, self._passwords, self._tokens, self._limits = database, passwords, tokens, limits
        self._session_lasts = timedelta(days=settings.session_days)

    async def register(self, email: str, password: str, address: str) -> str:
        """Make an account unless there is one; returns the address in its one spelling. Nobody learns which of the two it was.

        Raises:
            InvalidRequestError: the address or the password cannot be taken.
            TooManyAttemptsError: too many came from this network address.
        """
        await self._limits.count_address(address)
        name = normalised(email)
        password_hash = await self._passwords.hashed(password)
        added = await self._database.run(lambda connection: Users(connection).add(name, password_hash))
        logger.info("account %s is new", added.id) if added else logger.info("an address was registered again")
        return name

    async def sign_in(self, email: str, password: str, address: str) -> TokenPair:
        """A new session.

        Raises:
            UnauthenticatedError: there is no such account, or it has another password; said and timed alike.
            TooManyAttemptsError: too many tries.
        """
        await self._limits.count_address(address)
        try:
            name = normalised(email)
        except InvalidRequestError:
            name = ""  # has no account; takes as long as any other
        network = network_of(address)
        user, known = await self._database.run(lambda connection: _user_at(connection, name, network))
        await self._limits.count_name(name, network if known else None)
        if not await self._passwords.matches(password, user.password_hash if user else None) or user is None:
            raise UnauthenticatedError("the e-mail address or the password is wrong", hint="try again, or register")
        await self._renew_hash(user, password)
        refresh_token = secrets.token_urlsafe(_REFRESH_BYTES)
        session_id = await self._database.run(
            lambda connection: Sessions(connection).begin(
                user.id, _token_hash(refresh_token), network, self._session_lasts
            )
        )
        return self._pair(user, session_id, refresh_token)

    async def refresh(self, refresh_token: str) -> TokenPair:
        """The next pair of a session.

        Raises:
            UnauthenticatedError: the token is unknown, its session is over, or it was used before, which ends the session.
        """
        next_token = secrets.token_urlsafe(_REFRESH_BYTES)

        async def rotate(connection: Connection) -> tuple[UUID, User] | Refused:
            rotated = await Sessions(connection).rotate(_token_hash(refresh_token), _token_hash(next_token))
            if isinstance(rotated, Refused):
                return rotated
            user = await Users(connection).by_id(rotated.user_id)
            assert user is not None, "a session is removed with its user"
            return rotated.session_id, user

        rotated = await self._database.run(rotate)
        if isinstance(rotated, Refused):
            if rotated is Refused.REUSED:
                logger.warning("a refresh token was used twice; its session is over")
            raise UnauthenticatedError("the refresh token is not valid", hint="sign in again")
        session_id, user = rotated
        return self._pair(user, session_id, next_token)

    async def user(self, caller: Caller) -> User:
        """The user whose session goes on.

        Raises:
            UnauthenticatedError: the session is over, or the account is gone; the token does not know it yet.
        """

        async def find(connection: Connection) -> User | None:
            active = await Sessions(connection).is_active(caller.session_id, caller.user_id)
            return await Users(connection).by_id(caller.user_id) if active else None

        user = await self._database.run(find)
        if user is None:
            raise UnauthenticatedError("the session is over", hint="sign in again")
        return user

    async def sign_out(self, caller: Caller, *, everywhere: bool) -> None:
        """End the caller's session, or all of their sessions."""

        async def end(connection: Connection) -> None:
            sessions = Sessions(connection)
            if everywhere:
                await sessions.end_all(caller.user_id, "signed_out")
            else:
                await sessions.end(caller.session_id, "signed_out")

        await self._database.run(end)

    async def change_password(self, caller: Caller, current: str, new: str) -> None:
        """Set a new password and end all other sessions.

        Raises:
            InvalidRequestError: the current password is another one, or the new one cannot be taken.
            TooManyAttemptsError: too many tries.
        """
        user = await self.prove(caller, current)
        new_hash = await self._passwords.hashed(new)

        async def change(connection: Connection) -> None:
            await Users(connection).set_password(user.id, new_hash)
            await Sessions(connection).end_all(user.id, "password_changed", but=caller.session_id)

        await self._database.run(change)

    async def prove(self, caller: Caller, password: str) -> User:
        """The caller, who has given the password once more.

        Raises:
            InvalidRequestError: it is another one. No 401: the token is good.
            TooManyAttemptsError: too many tries.
        """
        user = await self.user(caller)
        await self._limits.count_name(f"{user.id}", None)
        if not await self._passwords.matches(password, user.password_hash):
            raise InvalidRequestError("the password is wrong", hint="give the one that you sign in with")
        return user

    async def delete(self, user: User) -> None:
        """Remove a user and all that is theirs."""
        await self._database.run(lambda connection: Users(connection).remove(user.id))
        logger.info("account %s is gone", user.id)

    async def _renew_hash(self, user: User, password: str) -> None:
        """Hash the password anew if the cost has changed since it was hashed."""
        if self._passwords.is_outdated(user.password_hash):
            new_hash = await self._passwords.hashed(password)
            await self._database.run(lambda connection: Users(connection).rehash(user.id, user.password_hash, new_hash))

    def _pair(self, user: User, session_id: UUID, refresh_token: str) -> TokenPair:
        caller = Caller(user_id=user.id, session_id=session_id, role=user.role)
        return TokenPair(
            access_token=self._tokens.signed(caller), refresh_token=refresh_token, expires_in=self._tokens.seconds
        )


async def _user_at(connection: Connection, name: str, network: Network) -> tuple[User | None, bool]:
    """The user of a name, and whether they have signed in from a network lately."""
    user = await Users(connection).by_email(name)
    # Asked of nobody too, so that a name without an account takes as long.
    return user, await Sessions(connection).knows(user.id if user else _NOBODY, network)


def _token_hash(token: str) -> bytes:
    """SHA-256 suffices: a token is 256 random bits, which nobody guesses."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

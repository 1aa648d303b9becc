"""Accounts, API keys, owners of pipelines and the caller's own password, as methods of both clients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeVar

from service.client import calls
from service.client.answers import Account, ApiKey, JsonObject
from service.client.calls import Call
from service.client.session import Session

T = TypeVar("T")


class Accounts(ABC):
    """The methods of ``Penstock``."""

    _session: Session

    @abstractmethod
    def _ask(self, call: Call[T]) -> T: ...

    @abstractmethod
    def _all(self, call: Call[tuple[list[T], int]]) -> list[T]: ...

    def users(self) -> list[Account]:
        """The accounts, by name."""
        return self._all(calls.users())

    def add_user(self, username: str, password: str, role: str) -> Account:
        """Create an account; ``role`` is viewer, operator or admin."""
        return self._ask(calls.add_user(username, password, role))

    def change_user(self, username: str, **changes: Any) -> Account:
        """Change the ``role``, the ``password`` or ``disabled`` of an account, which ends its logins."""
        return self._ask(calls.change_user(username, changes))

    def delete_user(self, username: str) -> None:
        """Delete an account."""
        self._ask(calls.delete_user(username))

    def change_password(self, old: str, new: str) -> None:
        """Change the own password, which ends all logins; a client with a name and password logs in again."""
        self._ask(calls.change_password(old, new))
        self._session.renew_with(new)

    def keys(self) -> list[ApiKey]:
        """The own API keys; those of all users for admins."""
        return self._all(calls.keys())

    def make_key(self, name: str, **definition: Any) -> ApiKey:
        """Make an API key with ``role``, ``pipelines``, ``queries``, ``expires``; its ``key`` is shown this once."""
        return self._ask(calls.make_key({"name": name, **definition}))

    def change_key(self, id_: str, **changes: Any) -> ApiKey:
        """Change what an API key may do; None takes a bound away."""
        return self._ask(calls.change_key(id_, changes))

    def delete_key(self, id_: str) -> None:
        """Remove an API key."""
        self._ask(calls.delete_key(id_))

    def share(self, name: str, **changes: Any) -> JsonObject:
        """Change the ``visibility`` (``shared`` or ``private``) or the ``owner`` of a pipeline."""
        return self._ask(calls.share(name, changes))


class AsyncAccounts(ABC):
    """The methods of ``AsyncPenstock``."""

    _session: Session

    @abstractmethod
    async def _ask(self, call: Call[T]) -> T: ...

    @abstractmethod
    async def _all(self, call: Call[tuple[list[T], int]]) -> list[T]: ...

    async def users(self) -> list[Account]:
        """The accounts, by name."""
        return await self._all(calls.users())

    async def add_user(self, username: str, password: str, role: str) -> Account:
        """Create an account; ``role`` is viewer, operator or admin."""
        return await self._ask(calls.add_user(username, password, role))

    async def change_user(self, username: str, **changes: Any) -> Account:
        """Change the ``role``, the ``password`` or ``disabled`` of an account, which ends its logins."""
        return await self._ask(calls.change_user(username, changes))

    async def delete_user(self, username: str) -> None:
        """Delete an account."""
        await self._ask(calls.delete_user(username))

    async def change_password(self, old: str, new: str) -> None:
        """Change the own password, which ends all logins; a client with a name and password logs in again."""
        await self._ask(calls.change_password(old, new))
        self._session.renew_with(new)

    async def keys(self) -> list[ApiKey]:
        """The own API keys; those of all users for admins."""
        return await self._all(calls.keys())

    async def make_key(self, name: str, **definition: Any) -> ApiKey:
        """Make an API key with ``role``, ``pipelines``, ``queries``, ``expires``; its ``key`` is shown this once."""
        return await self._ask(calls.make_key({"name": name, **definition}))

    async def change_key(self, id_: str, **changes: Any) -> ApiKey:
        """Change what an API key may do; None takes a bound away."""
        return await self._ask(calls.change_key(id_, changes))

    async def delete_key(self, id_: str) -> None:
        """Remove an API key."""
        await self._ask(calls.delete_key(id_))

    async def share(self, name: str, **changes: Any) -> JsonObject:
        """Change the ``visibility`` (``shared`` or ``private``) or the ``owner`` of a pipeline."""
        return await self._ask(calls.share(name, changes))

"""The accounts of a service and the caller's own password, as methods of both clients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeVar

from service.client import calls
from service.client.answers import Account
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

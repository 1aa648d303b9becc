"""The link that signs somebody in once, without a password: who starts the demo has the machine anyway.

Its token is in the fragment of the address, which a browser sends to nobody and no log has; the page posts it. Only the
hash is kept, in the memory of the process that showed the link, for a few minutes.
"""

from __future__ import annotations

import hmac
import secrets

from service.kit import errors, tokens
from service.kit.clock import Clock

SECONDS = 300
_FRAGMENT = "/console/#sign-in="
_AGAIN = (
    "for another one stop the demo with Ctrl-C and start 'penstock demo --serve' again, which keeps its data, or sign "
    "in with a name and a password"
)


class SignInLink:
    """A link for one account. Belongs to the event loop."""

    def __init__(self, username: str, clock: Clock) -> None:
        self._username = username
        self._clock = clock
        self._hash = ""
        self._until = 0.0
        self._used = False

    def issue(self, url: str) -> str:
        """The link for a service at ``url``, good from now on; one that was issued before is not any more."""
        token = "pl_" + secrets.token_urlsafe(32)
        self._hash, self._used = tokens.digest(token), False
        self._until = self._clock.monotonic() + SECONDS
        return url + _FRAGMENT + token

    def redeem(self, token: str) -> str:
        """The account that a token is for, once. Raises ``errors.Unauthenticated``, which says why not."""
        if not hmac.compare_digest(self._hash, tokens.digest(token)):
            raise _refused("is not valid")
        if self._used:
            raise _refused("was used already; it is good for one time")
        if self._clock.monotonic() > self._until:
            raise _refused(f"is older than {SECONDS // 60} minutes")
        self._used = True
        return self._username


def redeem(link: SignInLink | None, token: str) -> str:
    """As ``SignInLink.redeem``; a service without a link knows none."""
    if link is None:
        raise _refused("is not valid")
    return link.redeem(token)


def _refused(what: str) -> errors.Unauthenticated:
    return errors.Unauthenticated(f"this link {what}; {_AGAIN}")

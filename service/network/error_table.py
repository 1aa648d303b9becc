"""The table of network errors: the family and text for each error of the libraries. ``client`` applies it once."""

from __future__ import annotations

import ssl

import httpcore
import httpx

from service.kit import errors
from service.network import compression, egress

Family = type[errors.Transient] | type[errors.Permanent]

FOREIGN: dict[type[Exception], tuple[Family, str]] = {
    httpcore.TimeoutException: (errors.Transient, "it took too long"),
    httpcore.ConnectTimeout: (errors.Transient, "connecting took too long"),
    httpcore.ReadTimeout: (errors.Transient, "no answer came in time"),
    httpcore.WriteTimeout: (errors.Transient, "sending took too long"),
    httpcore.PoolTimeout: (errors.Transient, "no connection became free in time"),
    httpcore.NetworkError: (errors.Transient, "the connection failed"),
    httpcore.ConnectError: (errors.Transient, "no connection"),
    httpcore.ReadError: (errors.Transient, "the connection broke while reading"),
    httpcore.WriteError: (errors.Transient, "the connection broke while sending"),
    httpcore.ProtocolError: (errors.Transient, "the server broke the HTTP protocol"),
    httpcore.LocalProtocolError: (errors.Permanent, "the request is not valid HTTP; check headers and params"),
    httpcore.RemoteProtocolError: (errors.Transient, "the answer is not valid HTTP or ended too early"),
    httpcore.ProxyError: (errors.Permanent, "a proxy answered; proxies are not used"),
    httpcore.UnsupportedProtocol: (errors.Permanent, "only http:// and https:// are fetched"),
    httpcore.ConnectionNotAvailable: (errors.Transient, "no connection became free"),
    httpx.InvalidURL: (errors.Permanent, "the URL is not valid"),
    egress.Refused: (errors.Permanent, ""),
    compression.TooMuch: (errors.Permanent, ""),
    compression.BrokenEncoding: (errors.Transient, ""),
    compression.UnknownEncoding: (errors.Permanent, ""),
    ssl.SSLError: (errors.Permanent, "the encrypted connection failed"),
    TimeoutError: (errors.Transient, "the deadline (timeout_seconds) has passed"),
    OSError: (errors.Transient, "the connection failed"),
    UnicodeError: (errors.Permanent, "the URL or a header is not valid text"),
}
"""The family and text of each foreign error, looked up along the MRO. An empty text keeps the error's own message."""


_TELLTALES = (httpcore.LocalProtocolError, UnicodeError)
"""Errors whose messages show the request, header values included."""


def meaning(error: Exception) -> tuple[Family, str] | None:
    """The family and message for a foreign error, or None if it is not a network error."""
    for kind in type(error).__mro__:
        row = FOREIGN.get(kind)
        if row is not None:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                return errors.Permanent, "its certificate is not trusted"
            detail = "" if isinstance(error, _TELLTALES) else str(error)
            return row[0], f"{row[1]} ({detail})" if row[1] and detail else row[1] or detail
    return None

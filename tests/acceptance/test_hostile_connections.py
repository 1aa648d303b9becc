"""What comes over the wire and is no proper request, byte by byte: refused, and nobody else notices."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.acceptance.served import PASSWORD, PATIENCE, Served, serving

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v1/auth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"
SLOW = 300


def asking(path: bytes) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n"


SMUGGLED = asking(b"/smuggled")
UNTYPED = POST.replace(b"application/json", b"text/plain") + b"Content-Length: 2\r\n\r\n{}"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("connections")
    with serving(folder / "data", PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        yield served


def connected(served: Served) -> socket.socket:
    host, _, port = served.address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), PATIENCE)


def answered(served: Served, raw: bytes) -> bytes:
    """All that is answered until the connection ends, which the server must do of itself or because it was asked to."""
    received = b""
    with connected(served) as connection:
        with suppress(OSError):  # it has refused before it has read everything
            connection.sendall(raw)
        with suppress(ConnectionResetError):
            while part := connection.recv(65536):
                received += part
    return received


def refusal(answer: bytes) -> tuple[int, str]:
    """Status and code of the only answer; an answer without a body, which is the server's own, has no code."""
    assert answer.count(b"HTTP/1.1 ") == 1, answer
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    if not body:
        assert b"content-length: 0" in head
        assert b"connection: close" in head
        return status, ""
    return status, json.loads(body)["error"]["code"]


OURS = {
    "a NUL in a name": (asking(b"/api/v1/pipeline/a%00b/status"), 400, "VALIDATION_ERROR"),
    "a line feed in a name": (asking(b"/api/v1/pipeline/a%0ab/status"), 400, "VALIDATION_ERROR"),
    "a name that is no UTF-8": (asking(b"/api/v1/pipeline/%ff/status"), 400, "VALIDATION_ERROR"),
    "a NUL in the query": (asking(b"/health?a=%00"), 400, "VALIDATION_ERROR"),
    "two hosts": (GET + b"Host: y\r\n\r\n", 400, "VALIDATION_ERROR"),
    "another type": (UNTYPED, 415, "UNSUPPORTED_MEDIA_TYPE"),
    "65 headers": (GET + b"".join(b"X-%d: y\r\n" % n for n in range(65)) + b"\r\n", 431, "HEADERS_TOO_LARGE"),
    "a header of 70 kB": (GET + b"X-A: " + b"y" * 70_000 + b"\r\n\r\n", 431, "HEADERS_TOO_LARGE"),
    "a chunk that is none": (CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", 400, "VALIDATION_ERROR"),
}  # fmt: skip
THE_SERVERS = {
    "two lengths": (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", 400),
    "a list of lengths": (POST + b"Content-Length: 2, 2\r\n\r\n{}", 400),
    "a length with a sign": (POST + b"Content-Length: +2\r\n\r\n{}", 400),
    "a length beyond all numbers": (POST + b"Content-Length: 99999999999999999999\r\n\r\n{}", 400),
    "an encoding that is none": (POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS, 400),
    "an encoding and a length": (POST + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", 400),
    "a NUL in the path": (asking(b"/a\x00b"), 400),
    "a control character in the path": (asking(b"/a\x01b"), 400),
    "a NUL in a header": (GET + b"X-A: a\x00b\r\n\r\n", 400),
    "a space before the colon": (GET + b"X-A : b\r\n\r\n", 400),
    "a header over two lines": (GET + b"X-A: b\r\n c\r\n\r\n", 400),
    "a method that is none": (b"G\x01T /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "no request at all": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    "a path of 70 kB": (asking(b"/" + b"a" * 70_000), 414),
    "a path of a megabyte": (asking(b"/" + b"a" * 1_000_000), 431),
    "1000 headers": (GET + b"".join(b"X-%d: y\r\n" % n for n in range(1000)) + b"\r\n", 431),
    "a header of a megabyte": (GET + b"X-A: " + b"y" * 1_000_000 + b"\r\n\r\n", 431),
}


@pytest.mark.parametrize("what", OURS)
def test_requirement_47_what_is_read_and_refused_has_the_body_of_all_errors(served: Served, what: str) -> None:
    raw, status, code = OURS[what]
    assert refusal(answered(served, raw.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n", 1))) == (
        status,
        code,
    )


@pytest.mark.parametrize("what", THE_SERVERS)
def test_requirement_47_what_the_server_cannot_read_ends_the_connection_without_a_body(
    served: Served, what: str
) -> None:
    """What follows on the connection is not taken for another request. A reset may outrun the answer to long ones."""
    raw, status = THE_SERVERS[what]
    answer = answered(served, raw + SMUGGLED)
    assert refusal(answer) == (status, "") if answer else len(raw) > 65_536
    assert served.http.get(f"{served.address}/health").status_code == 200


@pytest.mark.parametrize("first", ["length", "encoding"])
def test_requirement_47_a_length_beside_chunks_counts_for_nothing_and_ends_the_connection(
    served: Served, first: str
) -> None:
    """As RFC 9112, 6.3 has it. The server drops the length, so that no two readers can differ about the body."""
    length, encoding = f"Content-Length: {len(CHUNKS)}\r\n".encode(), b"Transfer-Encoding: chunked\r\n"
    both = length + encoding if first == "length" else encoding + length
    status, code = refusal(answered(served, POST + both + b"\r\n" + CHUNKS + SMUGGLED))
    assert (status, code) == (400, "VALIDATION_ERROR")


@pytest.mark.slow
def test_requirement_45_a_header_that_never_ends_is_given_up(served: Served) -> None:
    """Many at once, each with a byte now and then, while everybody else is served."""
    with ExitStack() as opened:
        slow = [opened.enter_context(connected(served)) for _ in range(SLOW)]
        for connection in slow:
            with suppress(ConnectionError):  # on a slow machine the first are closed by now
                connection.sendall(GET + b"X-A: ")
        for _ in range(20):
            assert served.http.get(f"{served.address}/health").status_code == 200
        for connection in slow:
            with suppress(ConnectionError):
                connection.sendall(b"y")
                while connection.recv(4096):  # until the server has closed it
                    pass


def test_requirement_45_the_document_says_which_answers_have_no_body(served: Served) -> None:
    described = served.http.get(f"{served.address}/docs/openapi.json").json()["info"]["description"]
    assert re.search("`HEADERS_TOO_LARGE`.* 400, 414 or 431 without a body", described)

"""What Google Cloud Storage documents of its XML API, as far as the object store asks for it, in memory.

No package has a server that knows this API's conditions and multipart uploads, so this one is our own: it proves what
is sent and how answers are read, not what Google does.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_DATE = "2026-01-01T00:00:00.000Z"


class _Object(NamedTuple):
    data: bytes
    generation: int

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}"'


class Bucket:
    """The objects of the only bucket, and the uploads that nobody has completed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.objects: dict[str, _Object] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.lock = threading.Lock()
        self._numbers = itertools.count(1)

    def put(self, key: str, data: bytes, condition: str | None) -> _Object | None:
        """The new object; None if its generation is not the one of the condition (0: there is none)."""
        with self.lock:
            present = self.objects.get(key)
            if condition is not None and int(condition) != (present.generation if present else 0):
                return None
            self.objects[key] = made = _Object(data, next(self._numbers))
            return made

    def begin(self) -> str:
        """A new multipart upload."""
        with self.lock:
            name = f"upload-{next(self._numbers)}"
            self.uploads[name] = {}
            return name


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the lines of a test that fails are enough."""

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code></Error>".encode())

    def _read(self) -> tuple[str, dict[str, str], bytes]:
        """The key, the parameters and the body of the request."""
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        return unquote(parts.path.partition(f"/{self.bucket.name}")[2].lstrip("/")), query, body

    def _here(self) -> bool:
        found = urlsplit(self.path).path.split("/")[1] == self.bucket.name
        if not found:
            self._read()
            self._refuse(404, "NoSuchBucket")
        return found

    def _made(self, key: str, data: bytes, body: bytes = b"") -> None:
        made = self.bucket.put(key, data, self.headers.get("x-goog-if-generation-match"))
        if made is None:
            self._refuse(412, "PreconditionFailed")
        else:
            self._answer(200, body, etag=made.etag, x_goog_generation=str(made.generation))

    def do_PUT(self) -> None:
        if not self._here():
            return
        key, query, body = self._read()
        if "uploadId" in query:
            self.bucket.uploads[query["uploadId"]][int(query["partNumber"])] = body
            self._answer(200, etag=_Object(body, 0).etag)
        else:
            self._made(key, body)

    def do_POST(self) -> None:
        if not self._here():
            return
        key, query, _ = self._read()
        if "uploads" in query:
            name = f"<UploadId>{self.bucket.begin()}</UploadId>"
            self._answer(200, f"<InitiateMultipartUploadResult>{name}</InitiateMultipartUploadResult>".encode())
            return
        parts = self.bucket.uploads.pop(query["uploadId"])
        data = b"".join(parts[number] for number in sorted(parts))
        etag = escape(_Object(data, 0).etag)
        answer = f"<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
        self._made(key, data, answer.encode())

    def do_GET(self) -> None:
        if not self._here():
            return
        key, query, _ = self._read()
        if not key:
            self._list(query.get("prefix", ""))
            return
        found = self.bucket.objects.get(key)
        if found is None:
            self._refuse(404, "NoSuchKey")
            return
        headers = {
            "etag": found.etag, "x_goog_generation": str(found.generation), "last_modified": formatdate(usegmt=True),
        }  # fmt: skip
        if (span := self.headers.get("range")) is None:
            self._answer(200, found.data, **headers)
            return
        start, _, end = span.removeprefix("bytes=").partition("-")
        part = found.data[int(start) : int(end) + 1]
        place = f"bytes {start}-{int(start) + len(part) - 1}/{len(found.data)}"
        self._answer(206, part, **headers, content_range=place)

    do_HEAD = do_GET  # noqa: N815

    def _list(self, prefix: str) -> None:
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(one.data)}</Size><LastModified>{_DATE}</LastModified>"
            f"<ETag>{escape(one.etag)}</ETag></Contents>"
            for key, one in sorted(self.bucket.objects.items())
            if key.startswith(prefix)
        )
        self._answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode())

    def do_DELETE(self) -> None:
        if not self._here():
            return
        key, query, _ = self._read()
        if "uploadId" in query:
            self.bucket.uploads.pop(query["uploadId"], None)
            self._answer(204)
        elif self.bucket.objects.pop(key, None) is None:
            self._refuse(404, "NoSuchKey")
        else:
            self._answer(204)


def server(name: str) -> ThreadingHTTPServer:
    """A server with the bucket ``name`` at a free port, which does not answer yet."""
    return ThreadingHTTPServer(("127.0.0.1", 0), type("_Named", (_Handler,), {"bucket": Bucket(name)}))

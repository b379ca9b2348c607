"""The voting page without ComfyUI: a server from the standard library."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import socket
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from .answers import LARGEST_BODY, Poll, Request, Response, answer, refusal

PORT = 8190
_PATIENCE = 30.0
"""Seconds for a request to arrive."""
_READ_AND_DROPPED = 32 << 20
"""Bytes of a request that is too large, so that its sender gets to read the refusal."""


def key_of(secret: bytes) -> str:
    """The part of the address that only those know who were given it; the same after a restart."""
    return hmac.new(secret, b"address", hashlib.sha256).hexdigest()[:32]


class VotingServer(ThreadingHTTPServer):
    """Serves a poll at `address`. With a key, only below it and to any machine; without one, to
    this machine alone."""

    daemon_threads = True

    def __init__(self, poll: Poll, port: int = PORT, key: str = "") -> None:
        """port: 0 takes any free one. Raises OSError where the port is taken."""
        self.poll, self.key = poll, key
        super().__init__(("0.0.0.0" if key else "127.0.0.1", port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away in the middle of an answer is nothing to report."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """For a browser on this machine, or with a key on any other."""
        host = _own_address() if self.key else "127.0.0.1"
        return f"http://{host}:{self.server_port}/{self.key and self.key + '/'}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "SoftREPA", ""
    timeout = _PATIENCE
    # Headers and body leave together; apart, the second waits for the first to be acknowledged.
    wbufsize, disable_nagle_algorithm = -1, True
    server: VotingServer

    def do_GET(self) -> None:
        response = self._response()
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET

    def _response(self) -> Response:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self._body(headers)
        path, _, query = self.path.partition("?")
        inside = self._inside(path, headers)
        if isinstance(body, Response):
            return body
        if isinstance(inside, Response):
            return inside
        try:
            asked = dict(parse_qsl(query, max_num_fields=10))
        except ValueError:
            return refusal("The address has too many parts.", 400)
        return answer(self.server.poll, Request(self.command, inside, asked, headers, body))

    def _inside(self, path: str, headers: Mapping[str, str]) -> str | Response:
        """The path below the page's address, or a refusal."""
        if self.server.key:
            given, _, inside = path.removeprefix("/").partition("/")
            if not hmac.compare_digest(given.encode(), self.server.key.encode()):
                return refusal("This address is not whole: ask for the link again.", 404)
            return inside
        # A page elsewhere can give its own name this machine's address; a browser says that name.
        if not _is_local(headers.get("host", "")):
            return refusal("This voting page is for this machine only.", 403)
        return path.removeprefix("/")

    def _body(self, headers: Mapping[str, str]) -> bytes | Response:
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not re.fullmatch("[0-9]{1,15}", length):
            self.close_connection = True
            return refusal("The request must state its length.", 411)
        if int(length) <= LARGEST_BODY:
            return self.rfile.read(int(length))
        self.close_connection = True
        left = min(int(length), _READ_AND_DROPPED)
        while left > 0 and (dropped := len(self.rfile.read(min(left, 1 << 16)))):
            left -= dropped
        return refusal("The request is too large.", 413)

    def log_message(self, *arguments: object) -> None:
        """Nothing: who votes when is in votes.sqlite only."""


def _is_local(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _own_address() -> str:
    """This machine's address in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address that stands for none
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"

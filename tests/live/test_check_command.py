"""What `ollama-openai-proxy check` says of real servers: a running proxy, one over TLS that nobody vouches for, a Redis."""

from __future__ import annotations

import datetime
import ipaddress
import os
import shutil
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.live.proxy import ProxyProcess, free_port
from tests.live.redis_server import PASSWORD, PROGRAM, RedisServer
from tests.patience import PATIENCE
from tests.standins import ScriptedBackend, StrictOllama

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def checked(**settings: str) -> tuple[list[str], int]:
    """The lines that the command prints, and its exit status."""
    settings.setdefault("PROXY_PORT", str(free_port()))
    command = [sys.executable, "-m", "ollama_openai_proxy", "check"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "OLLAMA_", "PROXY_"))}
    done = subprocess.run(command, env=kept | settings, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines(), done.returncode


def test_a_proxy_that_runs_is_recognised() -> None:
    with ScriptedBackend() as backend, ProxyProcess(OPENAI_API_BASE_URL=backend.base_url) as proxy:
        lines, status = checked(OPENAI_API_BASE_URL=backend.base_url, PROXY_PORT=str(proxy.port))
    assert status == 0
    assert lines == [
        f"ok       the proxy listens on {proxy.url} already",
        "ok       only this machine reaches 127.0.0.1, and clients need no key",
        f"ok       the back end at {backend.base_url} is of the kind generic and lists 2 models: gpt-test, text-embedding-test",
    ]


def test_a_proxy_in_the_place_of_ollama_is_recognised() -> None:
    with (
        StrictOllama() as ollama,
        ProxyProcess(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=ollama.url) as proxy,
    ):
        lines, status = checked(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=proxy.url)
        assert checked(PROXY_MODE="fix", OLLAMA_UPSTREAM_URL=ollama.url)[1] == 0
    assert status == 1
    assert lines[2] == (
        f"problem  what answers at {proxy.url} is a proxy like this one: set OLLAMA_UPSTREAM_URL to the Ollama behind it"
    )


def test_a_certificate_that_nobody_vouches_for_is_told_from_a_trusted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tls_server(tmp_path) as port:
        url = f"https://127.0.0.1:{port}/v1"
        lines, status = checked(OPENAI_API_BASE_URL=url)
        assert status == 1
        assert lines[2].startswith(
            f"problem  the certificate of the back end at {url} is not trusted (self-signed certificate)"
        )
        assert "set SSL_CERT_FILE" in lines[2]

        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        lines, status = checked(OPENAI_API_BASE_URL=url)
        assert status == 0
        assert lines[2] == f"ok       the back end at {url} is of the kind generic and lists 1 model: over-tls"

        lines, status = checked(OPENAI_API_BASE_URL=url.replace("https:", "http:"))
        assert status == 1


@pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"there is no {PROGRAM} (Debian, Ubuntu: apt install redis-server)")
def test_a_redis_is_asked(tmp_path: Path) -> None:
    with ScriptedBackend() as backend, RedisServer(tmp_path) as redis:
        wanted = {"OPENAI_API_BASE_URL": backend.base_url, "RATE_LIMIT": "9/minute"}
        lines, status = checked(RATE_LIMIT_STORAGE=redis.url, **wanted)
        assert status == 0
        assert lines[3].startswith("ok       RATE_LIMIT_STORAGE at 127.0.0.1:")

        lines, status = checked(RATE_LIMIT_STORAGE=redis.url.replace(PASSWORD, "wrong-password"), **wanted)
        assert status == 1
        assert lines[3].endswith("refuses the password: correct it in the URL")
        assert "wrong-password" not in lines[3]


class _Models(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"object": "list", "data": [{"id": "over-tls", "object": "model", "created": 1, "owned_by": "tests"}]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(HTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that does not trust the certificate goes away, and that is what is wanted."""


@contextmanager
def tls_server(folder: Path) -> Iterator[int]:
    """The port of an OpenAI-compatible server with a self-signed certificate, which is in the folder."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(folder / "certificate.pem"))
    server = _Server(("127.0.0.1", 0), _Models)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def self_signed(file: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file

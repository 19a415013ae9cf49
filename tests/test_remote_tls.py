"""Pictures over HTTPS: which servers are believed to be the host that an address names."""

from __future__ import annotations

import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from vlmkit.data.remote import Remote
from vlmkit.errors import ImageError
from vlmkit.types import ImageUrl

HOST = "localhost"
"""The name in the certificate."""

HERE = "127.0.0.1"
"""The address behind it, which is not in the certificate."""

PICTURE = b"bytes of a picture"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(self.headers["Host"])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PICTURE)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a certificate that signs itself lies, with its key."""
    made = tmp_path_factory.mktemp("certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server of tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (made / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (made / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


@contextmanager
def serving(folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    server = ThreadingHTTPServer((HERE, 0), Handler)
    server.socket, server.seen = context.wrap_socket(server.socket, server_side=True), []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fetched(server, host):
    url = f"https://{host}:{server.server_port}/one.png"
    return Remote([host], seconds=5).fetch(ImageUrl(url), name="one", most=10_000)


def refused(server, host) -> str:
    with pytest.raises(ImageError) as error:
        fetched(server, host)
    assert server.seen == []
    return str(error.value)


def test_only_a_trusted_server_of_the_name_in_the_address_is_asked(folder, monkeypatch):
    with serving(folder) as server:
        assert refused(server, HOST) == (
            f"image one: https://{HOST}:{server.server_port}/one.png: its certificate is refused (self-signed "
            "certificate); check the address; for a server of yours name a file with its authority in SSL_CERT_FILE"
        )
        monkeypatch.setenv("SSL_CERT_FILE", str(folder / "certificate.pem"))
        assert f"certificate is not valid for '{HERE}'" in refused(server, HERE)
        assert fetched(server, HOST) == PICTURE
        assert server.seen == [f"{HOST}:{server.server_port}"]

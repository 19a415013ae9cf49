"""Pictures on servers: what is fetched, from where, and what is refused."""

import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import PIL.Image
import pytest

import vlmkit
from vlmkit.data import remote
from vlmkit.data.addresses import is_public
from vlmkit.data.remote import Remote
from vlmkit.errors import ImageError
from vlmkit.types import ImageUrl
from vlmkit_hf.pictures import pictures

HERE = "127.0.0.1"


def red_png():
    stream = BytesIO()
    PIL.Image.new("RGB", (4, 4), "red").save(stream, "PNG")
    return stream.getvalue()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.path, self.headers["Host"]))
        name, _, rest = self.path.lstrip("/").partition("/")
        name = name.partition("?")[0]
        if name == "to":
            self.send_response(302)
            self.send_header("Location", rest if "://" in rest else f"/{rest}")
            self.end_headers()
        elif name == "missing":
            self.send_error(404)
        elif name == "drip":
            self.send_response(200)
            self.end_headers()
            while not self.server.over.wait(0.02):
                try:
                    self.wfile.write(b"x")
                except OSError:
                    return
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(red_png())

    def log_message(self, *_):
        pass


@contextmanager
def serving():
    server = ThreadingHTTPServer((HERE, 0), Handler)
    server.seen, server.over = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


@pytest.fixture
def base(server):
    server.seen.clear()
    return f"http://{HERE}:{server.server_port}"


def fetched(url, *hosts, most=10_000, seconds=5.0):
    return Remote(hosts, seconds).fetch(ImageUrl(url), name="one", most=most)


def test_a_listed_host_is_asked_with_path_query_and_host(base, server):
    assert fetched(f"{base}/a b/ü.png?size=2&x=%20#part", HERE) == red_png()
    assert fetched(f"{base}/b.png", f"{HERE}:{server.server_port}") == red_png()
    assert server.seen[0] == ("/a%20b/%C3%BC.png?size=2&x=%20", base.removeprefix("http://"))


def test_servers_of_ones_own_are_refused_unless_they_are_listed(base, server):
    for url in (
        base,
        base.replace(HERE, "localhost"),
        base.replace(HERE, "[::ffff:127.0.0.1]"),
        "http://169.254.169.254/",
    ):
        with pytest.raises(ImageError, match="is not public; add --remote-host"):
            fetched(url)
    for host in ("example.org", f"{HERE}:{server.server_port + 1}"):
        with pytest.raises(ImageError, match="none of the allowed hosts"):
            fetched(base, host)
    assert server.seen == []


def test_redirects_are_followed_and_checked(base, server):
    assert fetched(f"{base}/to/to/picture.png", HERE) == red_png()
    with pytest.raises(ImageError, match="localhost is none of the allowed hosts"):
        fetched(f"{base}/to/{base.replace(HERE, 'localhost')}/picture.png", HERE)
    with pytest.raises(ImageError, match="only http and https"):
        fetched(f"{base}/to/file:///etc/passwd", HERE)
    with pytest.raises(ImageError, match="redirected more than 5 times"):
        fetched(f"{base}/" + "to/" * 9, HERE)
    assert ("/picture.png", base.removeprefix("http://")) in server.seen


def test_the_connection_goes_to_the_address_that_was_checked(base, server, monkeypatch):
    """A name server that says one thing first and another thing later changes nothing."""
    asked, connected = [], []

    def rebinding(host, *_, **__):
        asked.append(host)
        address = "93.184.216.34" if len(asked) == 1 else HERE
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))]

    def connect(place, timeout):
        connected.append(place)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(remote.socket, "create_connection", connect)
    with pytest.raises(ImageError, match="cannot be fetched"):
        fetched("http://rebinding.example/picture.png")
    assert asked == ["rebinding.example"] and connected == [("93.184.216.34", 80)]


def test_one_address_that_is_not_public_is_enough_to_refuse(monkeypatch):
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    with pytest.raises(ImageError, match=r"10\.0\.0\.1, which is not public"):
        fetched("http://mixed.example/")


def test_size_and_time_are_limited(base):
    with pytest.raises(ImageError, match="more than 20 bytes"):
        fetched(f"{base}/big.png", HERE, most=20)
    started = time.monotonic()
    with pytest.raises(ImageError, match=r"no answer in 0\.2 s"):
        fetched(f"{base}/drip", HERE, seconds=0.2)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://example.org/a.png", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("http://me:S3CRET@example.org/a.png", "a user or a password"),
        ("http://[::1/a.png", "cannot be fetched"),
        ("http://example.org:99999/a.png", "cannot be fetched"),
    ],
)
def test_other_addresses_are_refused_without_their_secrets(url, says):
    with pytest.raises(ImageError, match=says) as refused:
        fetched(url)
    assert "S3CRET" not in str(refused.value)


def test_an_error_of_the_server_is_told_without_the_query(base):
    with pytest.raises(ImageError, match=r"/missing\?\*\*\*: the server answers 404"):
        fetched(f"{base}/missing?signature=S3CRET", HERE)


NOT_PUBLIC = """
127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 100.100.100.200 0.0.0.0 255.255.255.255 224.0.0.1
168.63.129.16 ::1 :: fe80::1 fe80::1%eth0 fd00:ec2::254 ff02::1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
64:ff9b::a9fe:a9fe 2002:7f00:1::1
"""


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_addresses_that_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"])
def test_addresses_that_are_public(address):
    assert is_public(address)


def test_a_manifest_with_addresses_fails_by_default_and_runs_on_request(vlmkit_here, base, server, tmp_path):
    (tmp_path / "list.csv").write_text(f"image,label\n{base}/1.png?key=S3CRET,red\nhttp://10.0.0.1/2.png,red\n")
    run = ("run", "list.csv", "--model", "scripted", "--fail-on-error", "100%", "--output")
    off = vlmkit_here(*run, "off")
    assert off.returncode == 0 and "nothing is fetched by default; add --remote-images" in off.stderr
    assert server.seen == []
    on = vlmkit_here(*run, "on", "--remote-images", "--remote-host", HERE)
    assert on.returncode == 0 and "10.0.0.1 is none of the allowed hosts" in on.stderr
    assert [path for path, _ in server.seen] == ["/1.png?key=S3CRET"]
    written = [path.read_text() for path in tmp_path.rglob("*.json*")]
    assert len(written) >= 6 and not any("S3CRET" in text for text in (*written, off.stderr, on.stderr, on.stdout))
    alone = vlmkit_here("run", "list.csv", "--remote-host", HERE)
    assert alone.returncode == 2 and "add --remote-images" in alone.stderr


def test_an_address_in_python_is_not_fetched_unasked():
    with (
        vlmkit.Pipeline("scripted", "flat") as pipeline,
        pytest.raises(ImageError, match="nothing is fetched by default"),
    ):
        list(pipeline.classify("http://10.0.0.1/a.png", ["red", "blue"]))


@pytest.mark.parametrize("cell", ["http://10.0.0.1/a.png", "zip://a.png::http://10.0.0.1/b.zip", "file:///etc/passwd"])
def test_addresses_in_tables_are_not_fetched_unasked(cell):
    assert list(pictures({"path": cell, "bytes": None}, None)) == [ImageUrl(cell)]

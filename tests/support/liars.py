"""An engine and a registry that answer as they should, until they are told to lie. Both are small servers in this process, on a
Unix socket and on a loopback port. A lie is a function of the request's handler, and goes by a piece of the request line."""
import hashlib
import http.server
import io
import json
import re
import socketserver
import tarfile
import threading
from urllib.parse import parse_qs, urlsplit

from support import scratch
from support.images import Images, tool

PIECE = b"\0" * 65536


class Liar:
    """Serves in threads until it is closed. `lies`: what a request line has to contain → what is done then. `watch`: called with
    each request line before and after it is answered (False, True)."""

    watch = staticmethod(lambda line, answered: None)
    kept = ()  # the names of what it remembers

    def remember(self):
        return {name: dict(getattr(self, name)) for name in self.kept}

    def restore(self, remembered):
        for name, value in remembered.items():
            setattr(self, name, dict(value))

    def listen(self, server):
        self.server = server
        self.server.daemon_threads = True
        self.server.liar = self
        self.lies = {}
        self.closing = threading.Event()
        self.requests = []
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def lie_to(self, handler):
        """Whether the request was answered by a lie."""
        self.requests.append(handler.requestline)
        for words, lie in self.lies.items():
            if words in handler.requestline:
                lie(handler)
                return True
        return False

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def address_string(self):
        return "somebody"

    def handle(self):
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError, TimeoutError, ValueError):
            self.close_connection = True

    def respond(self):
        liar = self.server.liar
        liar.watch(self.requestline, False)
        if not liar.lie_to(self):
            liar.answer(self)
        liar.watch(self.requestline, True)

    do_GET = do_POST = do_DELETE = do_HEAD = do_PUT = do_PATCH = respond

    def send(self, status, body=b"", headers=()):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_json(self, status, value):
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def body(self):
        """The whole body of the request."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = bytearray()
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(content)


# Lies that fit everywhere.

def silence(handler):
    """Keeps the connection and says nothing."""
    handler.server.liar.closing.wait(120)
    handler.close_connection = True


def hang_up(handler):
    handler.close_connection = True


def garbage(handler):
    handler.wfile.write(bytes(range(256)) * 64)
    handler.close_connection = True


def endless_head(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.server.liar.closing.is_set():
        handler.wfile.write(b"X-Header: " + b"y" * 1000 + b"\r\n")


def endless_interim_answers(handler):
    while not handler.server.liar.closing.is_set():
        handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")


def done_and_gone(handler):
    """Does what it was asked for, and hangs up instead of saying so."""
    handler.send = handler.send_json = lambda *_: None
    handler.server.liar.answer(handler)
    handler.close_connection = True


def after(times, lie):
    """The truth as often as that, then the lie."""
    left = [times]

    def later(handler):
        left[0] -= 1
        return handler.server.liar.answer(handler) if left[0] >= 0 else lie(handler)
    return later


def answers(status, body, headers=()):
    def lie(handler):
        handler.body()
        handler.send(status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)
    return lie


def endless(start=b"", piece=PIECE):
    """A good head and a body without an end."""
    def lie(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "application/octet-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(start)
        while not handler.server.liar.closing.is_set():
            handler.wfile.write(piece)
    return lie


def then_silence(start):
    def lie(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 30))
        handler.end_headers()
        handler.wfile.write(start)
        silence(handler)
    return lie


def cut(body):
    """Half of the body, and the connection is gone."""
    def lie(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:len(body) // 2])
        handler.close_connection = True
    return lie


class Relay(Liar):
    """Hands every request on to a real engine."""

    def __init__(self, engine):
        self.engine = engine
        self.repository = engine.repository
        self.socket = scratch.fresh("r") / "engine.sock"
        server = type("Server", (socketserver.ThreadingMixIn, socketserver.UnixStreamServer), {"request_queue_size": 32})
        self.listen(server(str(self.socket), Handler))

    environment = property(lambda self: {"DOCKER_HOST": f"unix://{self.socket}"})
    settings = {}
    name = property(lambda self: self.engine.name)
    home = property(lambda self: self.engine.home)
    put = property(lambda self: self.engine.put)
    take = property(lambda self: self.engine.take)

    def answer(self, handler):
        status, body, headers = self.engine.call(handler.command, handler.path, handler.body(), handler.headers.get("Content-Type"))
        handler.send(status, body, {name: value for name, value in headers if name.lower() in ("api-version", "content-type")})


def slowly(body, pause_s=0.3, piece=None):
    """Everything as it should be, but for the time that it takes."""
    def lie(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        step = piece or len(body) // 12 + 1
        for at in range(0, len(body), step):
            handler.wfile.write(body[at:at + step])
            handler.server.liar.closing.wait(pause_s)
    return lie


class LyingEngine(Liar):
    """Keeps images by their archives, as much of an engine as pre-run and post-run need."""

    repository = "pht/train"
    kept = ("images", "names")

    def __init__(self, containerd=False):
        """`containerd`: its images have the digests of their manifests as ids."""
        self.containerd = containerd
        self.home = scratch.fresh("e")
        self.socket = self.home / "engine.sock"
        self.images = {}  # id → (archive, diff_ids, size)
        self.names = {}
        self.containers = []  # as the engine lists them
        server = type("Server", (socketserver.ThreadingMixIn, socketserver.UnixStreamServer), {"request_queue_size": 32})
        self.listen(server(str(self.socket), Handler))

    environment = property(lambda self: {"DOCKER_HOST": f"unix://{self.socket}"})
    settings = {"engine": {"patience_s": 2}}

    def name(self, tag="latest"):
        return f"docker-daemon:{self.repository}:{tag}"

    def put(self, images, tag):
        file = self.home / "archive"
        file.unlink(missing_ok=True)
        tool(images.home, "skopeo", "copy", "--insecure-policy", images.name(tag), f"docker-archive:{file}:x:y")
        self.keep(file.read_bytes(), images.config_of(tag)[1], tag)

    def keep(self, archive, config, tag):
        identifier = "sha256:" + hashlib.sha256(self.member(archive, self.manifest(archive)["Config"])).hexdigest()
        if self.containerd:
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                known = "index.json" in tar.getnames()
            identifier = (json.loads(self.member(archive, "index.json"))["manifests"][0]["digest"] if known
                          else "sha256:" + hashlib.sha256(archive).hexdigest())
        self.images[identifier] = archive, config["rootfs"]["diff_ids"], len(archive)
        if tag:
            self.names[f"{self.repository}:{tag}"] = identifier

    @staticmethod
    def member(archive, name):
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            return tar.extractfile(name).read()

    def write_down(self, folder):
        """Everything that the engine has, as files."""
        folder.mkdir(exist_ok=True)
        for number, (archive, _, _) in enumerate(self.images.values()):
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                tar.extractall(folder / str(number))
        return folder

    def manifest(self, archive):
        return json.loads(self.member(archive, "manifest.json"))[0]

    def description(self, identifier):
        _, diff_ids, size = self.images[identifier]
        names = [name for name, named in self.names.items() if named == identifier]
        return {"Id": identifier, "RootFS": {"Type": "layers", "Layers": diff_ids}, "Size": size, "RepoTags": names,
                **({"Descriptor": {"digest": identifier}} if self.containerd else {})}

    def answer(self, handler):
        url = urlsplit(handler.path)
        call = re.sub(r"^/v[0-9.]+", "", url.path)
        if call == "/_ping":
            return handler.send(200, b"OK", {"Api-Version": "1.41"})
        if call == "/images/load":
            archive = handler.body()
            self.keep(archive, json.loads(self.member(archive, self.manifest(archive)["Config"])), None)
            return handler.send_json(200, {"stream": "Loaded image"})
        if call == "/images/json":
            return handler.send_json(200, [{"Id": identifier, "Created": 1} for identifier in self.images])
        if call == "/containers/json":
            return handler.send_json(200, self.containers)
        if handler.command == "DELETE":
            identifier = call.removeprefix("/images/")
            if any(container["ImageID"] == identifier for container in self.containers):
                return handler.send_json(409, {"message": "image is being used by a container"})
            return handler.send_json(200 if self.images.pop(identifier, None) else 404, [])
        name, _, verb = call.removeprefix("/images/").rpartition("/")
        identifier = self.names.get(name, name)
        if identifier not in self.images:
            return handler.send_json(404, {"message": f"no such image: {name}"})
        if verb == "json":
            return handler.send_json(200, self.description(identifier))
        if verb == "get":
            return handler.send(200, self.images[identifier][0])
        if verb == "tag":
            query = parse_qs(url.query)
            self.names[f"{query['repo'][0]}:{query['tag'][0]}"] = identifier
            return handler.send(201)
        return handler.send_json(404, {"message": "page not found"})


class LyingRegistry(Liar):
    """Keeps blobs and manifests of one repository by the registry's protocol, as much of it as skopeo needs."""

    repository = "st/train"
    kept = ("blobs", "manifests", "tags")

    def __init__(self):
        self.blobs, self.manifests, self.tags, self.uploads = {}, {}, {}, {}
        server = type("Server", (socketserver.ThreadingMixIn, http.server.HTTPServer), {"request_queue_size": 32})
        self.listen(server(("127.0.0.1", 0), Handler))
        self.address = f"127.0.0.1:{self.server.server_address[1]}"

    environment = {}
    settings = {"registry": {"tls_verify": False, "patience_s": 2}}

    def name(self, tag="latest"):
        return f"docker://{self.address}/{self.repository}:{tag}"

    def put(self, images, tag):
        tool(images.home, "skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", images.name(tag), self.name(tag))

    def take(self, home, name, tags=("base", "latest")):
        images = Images(home, name)
        for tag in tags:
            tool(home, "skopeo", "copy", "--insecure-policy", "--src-tls-verify=false", self.name(tag), images.name(tag))
        return images

    def write_down(self, folder):
        """Everything that the registry has, as files."""
        folder.mkdir(exist_ok=True)
        for digest, content in [*self.blobs.items(), *((digest, manifest) for digest, (manifest, _) in self.manifests.items()),
                                *self.uploads.items()]:
            (folder / digest.replace("/", "-")).write_bytes(content)
        return folder

    def answer(self, handler):
        url = urlsplit(handler.path)
        body = handler.body()
        if url.path.rstrip("/") == "/v2":
            return handler.send(200, b"{}")
        kind, _, rest = url.path.removeprefix(f"/v2/{self.repository}/").partition("/")
        if kind == "manifests":
            return self.answer_manifest(handler, rest, body)
        if kind == "blobs" and rest.startswith("uploads"):
            return self.answer_upload(handler, url, body)
        if kind == "blobs" and rest in self.blobs:
            return handler.send(200, self.blobs[rest], {"Docker-Content-Digest": rest})
        return handler.send_json(404, {"errors": [{"code": "NAME_UNKNOWN", "message": "not found"}]})

    def answer_manifest(self, handler, reference, body):
        if handler.command == "PUT":
            digest = "sha256:" + hashlib.sha256(body).hexdigest()
            self.manifests[digest] = body, handler.headers["Content-Type"]
            if not reference.startswith("sha256:"):
                self.tags[reference] = digest
            return handler.send(201, b"", {"Docker-Content-Digest": digest, "Location": f"/v2/{self.repository}/manifests/{digest}"})
        digest = self.tags.get(reference, reference)
        if digest not in self.manifests:
            return handler.send_json(404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]})
        content, media_type = self.manifests[digest]
        return handler.send(200, content, {"Content-Type": media_type, "Docker-Content-Digest": digest})

    def answer_upload(self, handler, url, body):
        place = f"/v2/{self.repository}/blobs/uploads/{len(self.uploads)}"
        if handler.command == "POST":
            self.uploads[place] = b""
            return handler.send(202, b"", {"Location": place, "Docker-Upload-UUID": "x", "Range": "0-0"})
        self.uploads[url.path] += body
        if handler.command == "PATCH":
            end = max(len(self.uploads[url.path]) - 1, 0)
            return handler.send(202, b"", {"Location": url.path, "Docker-Upload-UUID": "x", "Range": f"0-{end}"})
        digest = parse_qs(url.query)["digest"][0]
        self.blobs[digest] = self.uploads.pop(url.path)
        return handler.send(201, b"", {"Docker-Content-Digest": digest, "Location": f"/v2/{self.repository}/blobs/{digest}"})

"""Container engines and registries for tests: real ones from Debian's packages, in a scratch folder, on Unix sockets and
loopback ports of their own, without a network. Whatever happens, they are stopped by their process id."""
import atexit
import base64
import crypt
import functools
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from support import scratch
from support.images import Images, tool

PATIENCE_S = 60


class CannotStart(Exception):
    """Why a server did not come up; what it said is in the message."""


class Server:
    """A process that listens. Subclasses say what runs, and when it is ready."""

    def __init__(self, name):
        self.home = scratch.fresh(name)
        self.log_file = self.home / "log"
        self.processes = []
        atexit.register(self.stop)

    def start(self, command, is_ready, environment=()):
        """Runs the command until `is_ready`."""
        (self.home / "tmp").mkdir(exist_ok=True)
        env = {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "HOME": str(self.home), "TMPDIR": str(self.home / "tmp"),
               "XDG_RUNTIME_DIR": str(self.home / "tmp"), **dict(environment)}
        with open(self.log_file, "ab") as log:
            process = subprocess.Popen([os.fsencode(word) for word in command], env=env, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, start_new_session=True)
        self.processes.append(process)
        deadline = time.monotonic() + PATIENCE_S
        while not is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise CannotStart(f"{command[0]}: {self.log()[-2000:]}")
            time.sleep(0.02)

    def log(self):
        return self.log_file.read_text(errors="replace")

    def stop(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.processes = []

    def remove(self):
        self.stop()
        scratch.remove(self.home)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("engine", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Engine(Server):
    """An engine with Docker's API; images are `NAME:tag` in it, trains are `pht/train`."""

    repository = "pht/train"

    @property
    def socket(self):
        return self.home / "engine.sock"

    @property
    def host(self):
        return f"unix://{self.socket}"

    @property
    def environment(self):
        return {"DOCKER_HOST": self.host}

    @property
    def settings(self):
        return {}

    def name(self, tag="latest"):
        return f"docker-daemon:{self.repository}:{tag}"

    def call(self, method, path, body=None, media_type=None):
        """The status, the answer and its headers of a call."""
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, body or None, {"Content-Type": media_type} if media_type else {})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.getheaders()
        finally:
            connection.close()

    def is_ready(self):
        try:
            return self.call("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def put(self, images, tag):
        tool(images.home, "skopeo", "copy", "--insecure-policy", "--dest-daemon-host", self.host, images.name(tag),
             f"docker-daemon:{self.repository}:{tag}")

    def take(self, home, name, tags=("base", "latest")):
        """The images as skopeo takes them to a layout."""
        images = Images(home, name)
        for tag in tags:
            tool(home, "skopeo", "copy", "--insecure-policy", "--src-daemon-host", self.host, self.name(tag), images.name(tag))
        return images

    def ids(self):
        """Image ids → names, of all images, also of those without a name."""
        status, answer, _ = self.call("GET", "/v1.41/images/json?all=1")
        assert status == 200, answer
        return {image["Id"]: image.get("RepoTags") or [] for image in json.loads(answer)}

    def id_of(self, tag):
        return next((image for image, names in self.ids().items()
                     if any(name.endswith(f"{self.repository}:{tag}") for name in names)), None)

    def containers(self):
        status, answer, _ = self.call("GET", "/v1.41/containers/json?all=1")
        assert status == 200, answer
        return json.loads(answer)

    def create(self, tag):
        """A container of the image, which never runs; its id."""
        status, answer, _ = self.call("POST", "/v1.41/containers/create", json.dumps({"Image": f"{self.repository}:{tag}", "Cmd": ["x"]}),
                                      "application/json")
        assert status == 201, answer
        return json.loads(answer)["Id"]

    def copy_into(self, container, tar):
        """Puts the members of a tar into the container."""
        status, answer, _ = self.call("PUT", f"/v1.41/containers/{container}/archive?path=/", tar, "application/x-tar")
        assert status == 200, answer

    def commit(self, container, tag):
        status, answer, _ = self.call("POST", f"/v1.41/commit?container={container}&repo={self.repository}&tag={tag}", "{}",
                                      "application/json")
        assert status == 201, answer

    def remove_container(self, container):
        status, answer, _ = self.call("DELETE", f"/v1.41/containers/{container}?force=1")
        assert status in (200, 204), answer

    def clear(self):
        """Removes every container and every image."""
        for container in self.containers():
            self.remove_container(container["Id"])
        for image in self.ids():
            self.call("DELETE", f"/v1.41/images/{image}?force=1")


class Podman(Engine):
    package = "podman"

    def __init__(self):
        super().__init__("p")  # podman takes no run folder of more than 50 bytes
        self.graph = self.home / "graph"
        # Not in /dev/shm, which all podmans of a machine share.
        (self.home / "containers.conf").write_text('[engine]\nlock_type = "file"\n')
        (self.home / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\nrunroot = "{self.home}/r"\ngraphroot = "{self.graph}"\n')
        self.start(["podman", "--tmpdir", self.home / "tmp", "--cgroup-manager", "cgroupfs", "--events-backend", "file", "system", "service", "--time=0", self.host],
                   self.is_ready, {"CONTAINERS_CONF": str(self.home / "containers.conf"), "CONTAINERS_STORAGE_CONF": str(self.home / "storage.conf")})


class Dockerd(Engine):
    package = "docker.io"

    def __init__(self):
        super().__init__("dockerd")
        self.graph = self.home / "data"
        containerd = self.home / "containerd.sock"
        (self.home / "containerd.toml").write_text(
            f'version = 2\nroot = "{self.home}/containerd"\nstate = "{self.home}/containerd-state"\n'
            f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "{containerd}"\n')
        self.start(["containerd", "-c", self.home / "containerd.toml"], containerd.exists)
        (self.home / "docker.json").write_text("{}")
        self.start(["dockerd", "-H", self.host, "--containerd", containerd, "--data-root", self.graph, "--exec-root",
                    self.home / "exec", "--pidfile", self.home / "pid", "--storage-driver", "vfs", "--iptables=false",
                    "--ip6tables=false", "--ip-forward=false", "--ip-masq=false", "--bridge=none", "--config-file",
                    self.home / "docker.json"], self.is_ready)


class Registry(Server):
    """docker-registry on a free port of the loopback; with `password`, for the user `station` only."""

    repository = "st/train"

    def __init__(self, password=None, certificate=None):
        """`certificate`: a PEM file with certificate and key for TLS."""
        super().__init__("registry")
        self.data = self.home / "data"
        config = ("version: 0.1\nlog: {level: info}\n"
                  f"storage: {{delete: {{enabled: true}}, filesystem: {{rootdirectory: {self.data}}}}}\n"
                  "http: {addr: '127.0.0.1:0'"
                  + (f", tls: {{certificate: {certificate}, key: {certificate}}}" if certificate else "") + "}\n")
        self.credentials = None
        if password is not None:
            (self.home / "htpasswd").write_text("station:" + crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)) + "\n")
            config += f"auth: {{htpasswd: {{realm: test, path: {self.home}/htpasswd}}}}\n"
            self.credentials = f"station:{password}"
        (self.home / "registry.yml").write_text(config)
        self.start(["docker-registry", "serve", self.home / "registry.yml"], lambda: self.address is not None)

    @property
    def address(self):
        port = re.search(r"listening on 127\.0\.0\.1:(\d+)", self.log())
        return port and f"127.0.0.1:{port[1]}"

    @property
    def settings(self):
        return {"registry": {"tls_verify": False}}

    environment = {}

    def authfile(self, credentials=None):
        """A file with credentials as skopeo reads it."""
        path = self.home / "auth.json"
        auth = base64.b64encode((credentials or self.credentials).encode()).decode()
        path.write_text(json.dumps({"auths": {self.address: {"auth": auth}}}))
        return path

    def name(self, tag="latest"):
        return f"docker://{self.address}/{self.repository}:{tag}"

    def _credentials(self, side):
        return [f"--{side}-creds", self.credentials] if self.credentials else []

    def put(self, images, tag):
        tool(images.home, "skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", *self._credentials("dest"),
             images.name(tag), self.name(tag))

    def take(self, home, name, tags=("base", "latest")):
        images = Images(home, name)
        for tag in tags:
            tool(home, "skopeo", "copy", "--insecure-policy", "--src-tls-verify=false", *self._credentials("src"), self.name(tag),
                 images.name(tag))
        return images

    def tag_digest(self, tag):
        """What the tag names in the registry's own files; none if there is no such tag."""
        link = self.data / "docker/registry/v2/repositories" / self.repository / "_manifests/tags" / tag / "current/link"
        return link.read_text() if link.exists() else None


@functools.cache
def podman():
    return Podman()


@functools.cache
def dockerd():
    """A Docker engine. Where it cannot start, that is `CannotStart`."""
    return Dockerd()


@functools.cache
def registry():
    return Registry()


@functools.cache
def closed_registry():
    """A registry that wants a password."""
    return Registry("not a secret")

"""A client of `trainseal serve`: HTTP on a Unix socket, with the standard library alone."""
from __future__ import annotations

import http.client
import json
import os
import socket
import time
import uuid
from typing import Any, Callable, Iterable, Mapping, Union

from .errors import DeniedError, ServiceUnavailable, TrainsealError, error_of

DEFAULT_SOCKET = "/run/trainseal/api.sock"
LONGEST_WAIT_S = 60.0  # between two tries, whatever the service says

Event = Mapping[str, Any]
Path_ = Union[str, "os.PathLike[str]"]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Service:
    """The station's service. Thread-safe: each call has a connection of its own.

    path: of the socket; default TRAINSEAL_SERVICE, else /run/trainseal/api.sock.
    timeout: seconds without a byte from the service; a job may take an hour before its answer comes.
    patience: seconds that calls which the service cannot take now (503 with retry "later") are tried again.
    """

    def __init__(self, path: Path_ | None = None, *, timeout: float = 3700.0, patience: float = 60.0) -> None:
        self.path = os.fspath(path or os.environ.get("TRAINSEAL_SERVICE") or DEFAULT_SOCKET)
        self.timeout, self.patience = timeout, patience

    def live(self) -> bool:
        """True if the service answers."""
        try:
            return self._request("GET", "/v1/live")[0] == 200
        except ServiceUnavailable:
            return False

    def ready(self) -> bool:
        """True if the token and its key can be used now."""
        return self._request("GET", "/v1/ready")[0] == 200

    def status(self) -> dict[str, Any]:
        """State of token, key, jobs and audit."""
        return self._get("/v1/status")

    def key(self) -> dict[str, Any]:
        """The station's public key: "pem", "hex" as configs have it, "fingerprint"."""
        return self._get("/v1/key")

    def job(self, number: str) -> dict[str, Any]:
        """State and answer of a job of this user."""
        return self._get(f"/v1/jobs/{number}")

    def metrics(self) -> str:
        """Prometheus's text."""
        status, body, _ = self._request("GET", "/metrics")
        if status != 200:
            raise error_of(_object(body, status), status)
        return body.decode()

    def audit(self, after: int = 0) -> list[dict[str, Any]]:
        """The audit's records behind line `after`, at most 1000."""
        status, body, _ = self._request("GET", f"/v1/audit?after={int(after)}")
        if status != 200:
            raise error_of(_object(body, status), status)
        return [json.loads(line) for line in body.splitlines()]

    def pre_run(self, train: str, *, out: Path_ | None = None, owner: str | None = None, previous: Iterable[str] = (),
                base: str | None = None, **call: Any) -> dict[str, Any]:
        """All checks, then the train is released: into the new folder `out`, or where it lies."""
        return self.call("pre-run", train, {"out": out, "owner": owner, "previous": list(previous), "base": base}, **call)

    def post_run(self, train: str, *, results: Path_ | None = None, base: str | None = None, to: str | None = None,
                 wipe: bool = False, replace: bool = False, without_record: bool = False, sign_again: str | None = None,
                 confirm_restored: bool = False, **call: Any) -> dict[str, Any]:
        """Signs and seals the results in `results`, or those in the train; `wipe` deletes the plaintext then."""
        return self.call("post-run", train, {"results": results, "base": base, "to": to, "wipe": wipe, "replace": replace,
                                             "without-record": without_record, "sign-again": sign_again,
                                             "confirm-restored": confirm_restored}, **call)

    def discard(self, train: str, *, sealed: bool = False, **call: Any) -> dict[str, Any]:
        """Deletes what pre-run released; with `sealed` the kept copy of a sealed train."""
        return self.call("discard", train, {"sealed": sealed}, **call)

    def verify(self, train: str, *, previous: Iterable[str] = (), master: str | None = None, **call: Any) -> dict[str, Any]:
        """What can be checked without a private key."""
        return self.call("verify", train, {"previous": list(previous), "master": master}, **call)

    def inspect(self, train: str, **call: Any) -> dict[str, Any]:
        """What is in the train's config."""
        return self.call("inspect", train, {}, **call)

    def call(self, verb: str, train: str, options: Mapping[str, Any], *, idempotency_key: str | None = None,
             on_event: Callable[[Event], None] | None = None) -> dict[str, Any]:
        """Has a job done and returns its answer; a failure is an exception of `trainseal.errors`.

        The call bears an Idempotency-Key, so that one whose answer got lost is not done twice. on_event: told
        each step, progress and warning as it comes.
        """
        body = {"train": train, **{name: _plain(value) for name, value in options.items() if value not in (None, False, [], ())}}
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex, "Content-Type": "application/json"}
        if on_event:
            headers["Accept"] = "application/x-ndjson"
        deadline = time.monotonic() + self.patience
        while True:
            wait, fields = 1.0, {}
            try:
                status, answer, fields = self._job(f"/v1/{verb}", json.dumps(body).encode(), headers, on_event)
                if answer.get("ok"):
                    return answer
                error = error_of(answer, status)
                wait = _seconds(fields.get("retry-after"))
            except ServiceUnavailable as unreachable:
                error, status = unreachable, 503
            if status != 503 or error.retry != "later" or time.monotonic() + wait > deadline:
                raise error
            if "trainseal-job" in fields:
                # That job is done, and has failed: the same key would find the same answer.
                if idempotency_key:
                    raise error
                headers["Idempotency-Key"] = uuid.uuid4().hex
            time.sleep(wait)

    def _job(self, url: str, body: bytes, headers: Mapping[str, str],
             on_event: Callable[[Event], None] | None) -> tuple[int, dict[str, Any], dict[str, str]]:
        connection = _UnixConnection(self.path, self.timeout)
        try:
            response = self._send(connection, "POST", url, body, headers)
            fields = {name.lower(): value for name, value in response.getheaders()}
            if not fields.get("content-type", "").startswith("application/x-ndjson"):
                return response.status, _object(response.read(), response.status), fields
            for line in response:
                event = _object(line, response.status)
                if event.get("event") == "answer":
                    return int(event["status"]), event["answer"], fields
                if on_event:
                    on_event(event)
            raise self._lost("the answer is cut off")
        except (OSError, http.client.HTTPException) as reason:
            if isinstance(reason, TrainsealError):
                raise
            raise self._lost(reason) from reason
        finally:
            connection.close()

    def _send(self, connection: _UnixConnection, method: str, url: str, body: bytes | None,
              headers: Mapping[str, str]) -> http.client.HTTPResponse:
        connection.request(method, url, body, dict(headers))
        return connection.getresponse()

    def _request(self, method: str, url: str) -> tuple[int, bytes, dict[str, str]]:
        connection = _UnixConnection(self.path, self.timeout)
        try:
            response = self._send(connection, method, url, None, {})
            return response.status, response.read(), {name.lower(): value for name, value in response.getheaders()}
        except (OSError, http.client.HTTPException) as reason:
            raise self._lost(reason) from reason
        finally:
            connection.close()

    def _get(self, url: str) -> dict[str, Any]:
        status, body, _ = self._request("GET", url)
        answer = _object(body, status)
        if status != 200:
            raise error_of(answer, status)
        return answer

    def _lost(self, reason: str | BaseException) -> TrainsealError:
        if isinstance(reason, PermissionError):
            return DeniedError(f"this user may not use the socket {self.path}", "denied",
                               "an administrator adds the user to the group of the socket")
        reason = str(reason) or type(reason).__name__
        return ServiceUnavailable(f"the service at {self.path} does not answer: {reason}", "service_unavailable",
                                  "is trainseal.service running, and may this user use its socket?", "later")


def _plain(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _seconds(retry_after: str | None) -> float:
    try:
        return min(max(float(retry_after or 1), 0.1), LONGEST_WAIT_S)
    except ValueError:
        return 1.0


def _object(body: bytes, status: int) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ServiceUnavailable(f"what answers (HTTP {status}) is no service of trainseal", "service_unavailable",
                                 "which program listens at this socket?", "after-operator", status=status)
    return answer

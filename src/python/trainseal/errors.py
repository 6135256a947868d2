"""What goes wrong, as exceptions with the codes of docs/CONTRACT.md."""
from __future__ import annotations

from typing import Any, Mapping


class TrainsealError(Exception):
    """A failure that trainseal reports.

    code: such as "signature_invalid". retry: "never", "later" or "after-operator". subject: the part of the
    input at fault. status: of HTTP, 0 if the service was not reached. answer: the whole answer.
    """

    def __init__(self, message: str, code: str = "internal", hint: str = "", retry: str = "after-operator", subject: str = "",
                 status: int = 0, answer: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message, self.code, self.hint, self.retry, self.subject = message, code, hint, retry, subject
        self.status, self.answer = status, dict(answer or {})

    def __str__(self) -> str:
        return f"{self.message} ({self.code})" + (f". Hint: {self.hint}" if self.hint else "")


class ValidationError(TrainsealError):
    """The train, or what it came with, is not as it has to be (the reference's name). Not to be run."""

    @property
    def hash_value(self) -> str:
        """The reference's name for what did not match."""
        return self.subject or self.message


class UsageError(TrainsealError, ValueError):
    """The request or the settings are wrong."""


class TokenError(TrainsealError):
    """The token, its key or its PIN cannot be used."""


class StorageError(TrainsealError):
    """A folder, an engine, a registry or the service's state failed."""


class DeniedError(TrainsealError, PermissionError):
    """Not allowed: by the policy, by the records of what was signed already."""


class ServiceUnavailable(TrainsealError, ConnectionError):
    """The service is not there, is full, or stops."""


_KINDS: dict[type[TrainsealError], tuple[str, ...]] = {
    ValidationError: ("config_invalid", "not_on_route", "not_my_turn", "wrong_station_key", "untrusted_key", "signature_invalid",
                      "chain_invalid", "session_reused", "decrypt_failed", "digest_mismatch", "config_changed", "unlisted_file",
                      "symlink_refused", "hostile_path", "base_mismatch", "statement_invalid", "results_unstable"),
    UsageError: ("usage", "settings_invalid"),
    TokenError: ("token_unavailable", "key_not_found", "key_ambiguous", "mechanism_refused", "token_failed", "pin_missing",
                 "pin_incorrect", "pin_locked"),
    StorageError: ("store_failed", "state_failed", "engine_failed", "registry_failed", "no_space", "busy"),
    DeniedError: ("denied", "already_signed", "no_record", "not_confirmed", "restored_state"),
    ServiceUnavailable: ("service_unavailable", "timeout"),
}
_KIND_OF = {code: kind for kind, codes in _KINDS.items() for code in codes}


def error_of(answer: Mapping[str, Any], status: int) -> TrainsealError:
    """The exception for an answer whose "ok" is false."""
    error = answer.get("error") or {}
    code = error.get("code", "internal")
    kind = _KIND_OF.get(code, TrainsealError)
    return kind(error.get("message", f"the service answers with HTTP {status}"), code, error.get("hint", ""),
                error.get("retry", "after-operator"), error.get("subject", ""), status, answer)

"""Trains processed by the station's service, `trainseal serve` (docs/SERVICE.md).

For workflows written for the Train Container Library:

    from trainseal import SecurityProtocol, extract_train_config

and for new ones:

    from trainseal import Service
    Service().pre_run("docker-daemon:registry.example/3/t-17", out="/srv/pht/out/t-17")
"""
from .client import DEFAULT_SOCKET, Service
from .errors import (DeniedError, ServiceUnavailable, StorageError, TokenError, TrainsealError, UsageError,
                     ValidationError)
from .protocol import SecurityProtocol, TrainConfig, extract_train_config, validate_train_image

__all__ = ["DEFAULT_SOCKET", "DeniedError", "SecurityProtocol", "Service", "ServiceUnavailable", "StorageError", "TokenError",
           "TrainConfig", "TrainsealError", "UsageError", "ValidationError", "extract_train_config", "validate_train_image"]

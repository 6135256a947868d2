"""The names of the Train Container Library, so that a station's workflow changes one import."""
from __future__ import annotations

import warnings
from typing import Any, Mapping

from .client import Service
from .errors import ValidationError

_FORMS = ("folder:", "oci:", "oci-archive:", "docker-archive:", "docker-daemon:", "docker://", "/")


class TrainConfig(dict):
    """What is in a train's config, as `inspect` tells it; keys are attributes as well: `config.route[0].station`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return _as_config(self[name])
        except KeyError:
            raise AttributeError(f"the config has no {name!r}") from None


def _as_config(value: Any) -> Any:
    if isinstance(value, dict):
        return TrainConfig(value)
    return [_as_config(item) for item in value] if isinstance(value, list) else value


def train_name(img: str) -> str:
    """The whole name of an image of the engine; other forms of trains stay as they are."""
    return img if img.startswith(_FORMS) else f"docker-daemon:{img}"


def extract_train_config(img: str, config_path: str = "/opt/train_config.json", *, service: Service | None = None) -> TrainConfig:
    """The config of the train in the image `img`. No container is made for it, as the service reads it."""
    if config_path != "/opt/train_config.json":
        raise ValueError("a train's config is always /opt/train_config.json")
    answer = (service or Service()).inspect(train_name(img))
    content = {name: value for name, value in answer.items() if name not in ("ok", "command", "steps", "warnings", "train")}
    return TrainConfig({**answer["train"], **content})


def validate_train_image(train_img: str, master_image: str, *, service: Service | None = None) -> None:
    """Compares what is around the train with `master_image`; `ValidationError` (base_mismatch) names what differs."""
    (service or Service()).verify(train_name(train_img), master=train_name(master_image))


class SecurityProtocol:
    """The reference's class. What it did with a private key, the service does with the token.

    station_id: has to be on the route of `config` (of `extract_train_config`, or the config's own JSON as a
    dictionary; None: not looked at). The service itself knows which station it is: only the token decides what it can unwrap.
    service: default `Service()`.
    """

    def __init__(self, station_id: str, config: Mapping[str, Any] | None = None, results_dir: str | None = None,
                 train_dir: str | None = None, docker_client: Any = None, *, service: Service | None = None) -> None:
        self.station_id, self.config = str(station_id), config
        self.results_dir, self.train_dir, self.docker_client = results_dir, train_dir, docker_client
        self.service = service or Service()
        route = None if config is None else [_same_id(stop["station"]) for stop in config["route"]]
        if route is not None and _same_id(self.station_id) not in route:
            raise ValidationError(f"station {self.station_id} is not on the route", "not_on_route", retry="never", subject="route")

    def pre_run_protocol(self, img: str | None = None, private_key_path: str | None = None,
                         private_key_password: str | None = None, immutable_dir: str = "/opt/pht_train",
                         mutable_dir: str = "/opt/pht_results", **call: Any) -> dict[str, Any]:
        """Checks the train in `img` and decrypts it there, or into `out=FOLDER`, which leaves no plaintext in an image.

        Decrypting an image where it lies needs the service's setting "in_place": "allow" (or "warn").
        """
        _check_folders(immutable_dir, mutable_dir)
        _warn_of_key(private_key_path, private_key_password)
        return self.service.pre_run(train_name(_given(img)), **call)

    def post_run_protocol(self, img: str | None = None, private_key_path: str | None = None,
                          private_key_password: str | None = None, rebase: bool = True, mutable_dir: str = "/opt/pht_results",
                          **call: Any) -> dict[str, Any]:
        """Signs and seals the results in `img`, or in `results=FOLDER`.

        The image is always made anew on its base; `rebase` is accepted and changes nothing.
        """
        _check_folders("/opt/pht_train", mutable_dir)
        _warn_of_key(private_key_path, private_key_password)
        return self.service.post_run(train_name(_given(img)), **call)


def _same_id(station: Any) -> str:
    text = str(station)
    return text.lstrip("0") or "0" if text.isascii() and text.isdigit() else text


def _given(img: str | None) -> str:
    if not img:
        raise ValueError("img is missing: name the train's image")
    return img


def _check_folders(immutable_dir: str, mutable_dir: str) -> None:
    if (immutable_dir, mutable_dir) != ("/opt/pht_train", "/opt/pht_results"):
        raise ValueError("a train's folders are always /opt/pht_train and /opt/pht_results")


def _warn_of_key(path: str | None, password: str | None) -> None:
    is_uri = path is not None and str(path).startswith("pkcs11:")
    if (path is not None and not is_uri) or password is not None:
        warnings.warn("private_key_path and private_key_password are not used: the key is on the service's token. "
                      "Delete the key's file if this is the only program that read it.", UserWarning, stacklevel=3)

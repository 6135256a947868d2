"""The independent judge (tests/referee/referee.py) as a function."""
import contextlib
import functools
import importlib.util
import io
import sys
import warnings
from pathlib import Path

_PATH = Path(__file__).resolve().parent.parent / "referee" / "referee.py"
_SPEC = importlib.util.spec_from_file_location("referee", _PATH)
_REFEREE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_REFEREE)
_REFEREE.load_priv = functools.cache(_REFEREE.load_priv)  # OpenSSL checks a key for a long time when it is loaded


def verdict(train, *, keys=None, creator_key=None, previous=(), plain_train=None, plain_results=None, completed=None,
            state="encrypted", options=("--strict", "--fresh-iv")):
    """The referee's line, which begins with PASS or FAIL. `keys`: station → PEM file."""
    arguments = ["referee.py", str(train), "--state", state, *options]
    for station, pem in (keys or {}).items():
        arguments += ["--key", f"{station}={pem}"]
    for option, value in (("--creator-key", creator_key), ("--plain-train", plain_train),
                          ("--plain-results", plain_results), ("--completed", completed)):
        if value is not None:
            arguments += [option, str(value)]
    for stage in previous:
        arguments += ["--prev", str(stage)]
    said = io.StringIO()
    before, sys.argv = sys.argv, arguments
    try:
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _REFEREE.main()
    finally:
        sys.argv = before
    return said.getvalue().strip()

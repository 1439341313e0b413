"""TensorFlow, loaded when it is needed and without its noise."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from converters.tools import import_tool

INSTALL_HINT: Final = "pip install tensorflow==2.21.0"
TOOLS: Final = ("tensorflow",)

_STDERR: Final = 2


@contextmanager
def tensorflow() -> Iterator[Any]:
    """A conversion by TensorFlow: nothing is printed, errors come as exceptions.

    TensorFlow's C++ writes to file descriptor 2 directly, so that this is closed to the whole
    process meanwhile.

    Yields:
        The module tensorflow.

    Raises:
        MissingToolError: it is not installed.
    """
    with _quiet_descriptor(), _quiet_log(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the libraries it is made of
        yield import_tool("tensorflow", INSTALL_HINT)


@contextmanager
def _quiet_descriptor() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(_STDERR)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(nothing)
        os.close(kept)


@contextmanager
def _quiet_log() -> Iterator[None]:
    """Hide what its Python part says below errors."""
    loggers = [logging.getLogger(name) for name in ("tensorflow", "absl")]

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    for logger in loggers:
        logger.addFilter(is_error)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_error)

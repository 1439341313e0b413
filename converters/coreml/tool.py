"""coremltools, loaded when it is needed and without its noise."""

import logging
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from converters.tools import import_tool

INSTALL_HINT: Final = 'pip install "coremltools==9.0"'
TOOLS: Final = ("coremltools",)

_TENSORFLOW: Final = "tensorflow"
_BARS: Final = (  # modules that draw progress bars
    "coremltools.converters.mil.mil.passes.pass_pipeline",
    "coremltools.optimize.coreml._quantization_passes",
)


def import_coremltools() -> Any:  # noqa: ANN401 - a module without types
    """Import coremltools.

    It imports every framework it finds. TensorFlow is kept from it: that takes seconds, prints,
    and is of no use here.

    Raises:
        MissingToolError: it is not installed.
    """
    with _quiet_log(), _hidden(_TENSORFLOW), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what it imports
        return import_tool("coremltools", INSTALL_HINT)


def import_mil() -> Any:  # noqa: ANN401
    """Import the part of coremltools that builds programs.

    Raises:
        MissingToolError: it is not installed.
    """
    import_coremltools()
    return import_tool("coremltools.converters.mil.mil", INSTALL_HINT)


@contextmanager
def conversion() -> Iterator[Any]:
    """A conversion by coremltools, without progress bars and with the same names every time.

    Yields:
        The module coremltools.

    Raises:
        MissingToolError: it is not installed.
    """
    tool = import_coremltools()
    builder = import_mil().Builder
    drawing: list[Any] = [sys.modules[name] for name in _BARS if name in sys.modules]
    bars = [module.tqdm for module in drawing]
    counters = builder.name_count
    try:
        for module in drawing:
            module.tqdm = _without_bar
        # Names end in a number that counts through all conversions of the process.
        builder.name_count = defaultdict(int)
        with _quiet_log(), warnings.catch_warnings():
            # It leaves the removal of its temporary folders to the garbage collector.
            warnings.filterwarnings("ignore", "Implicitly cleaning up", ResourceWarning)
            yield tool
    finally:
        builder.name_count = counters
        for module, bar in zip(drawing, bars, strict=True):
            module.tqdm = bar


def _without_bar(items: Iterable[Any], **options: object) -> Iterable[Any]:
    return items


@contextmanager
def _quiet_log() -> Iterator[None]:
    """Hide warnings about versions coremltools was not tested with; errors are still heard."""
    logger = logging.getLogger("coremltools")

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    logger.addFilter(is_error)
    try:
        yield
    finally:
        logger.removeFilter(is_error)


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Make the import of a module fail, loaded or not."""
    loaded = sys.modules.get(module)
    sys.modules[module] = None  # type: ignore[assignment] # what the import system takes for "no"
    try:
        yield
    finally:
        if loaded is None:
            del sys.modules[module]
        else:
            sys.modules[module] = loaded

"""Import of the heavy conversion tools, only when they are needed."""

import importlib
from typing import Any

from converters.errors import MissingToolError


def import_tool(module: str, install_hint: str) -> Any:  # noqa: ANN401 - a module without types
    """Import a module of an optional tool.

    Args:
        module: its full name.
        install_hint: the command that installs it.

    Raises:
        MissingToolError: it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingToolError(
            f"expected {module}, it cannot be imported ({error}): {install_hint}"
        ) from error

"""models/metrics.json: what was measured on the models, for the manifest."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from atpn_mobile.manifest import Metric
from converters.errors import RequestError
from converters.models import find_model

METRICS_NAME: Final = "metrics.json"


def read_metrics(path: Path) -> dict[str, tuple[Metric, ...]]:
    """Read what was measured: model name -> list of name, value, unit, data, command.

    Raises:
        RequestError: the file is missing, is no such JSON, or names an unknown model.
    """
    expected = (
        'expected JSON such as {"atpn": [{"name": "NME", "value": 1.5, "unit": "%", "data": "...", '
        f'"command": "..."}}]}} in {path}'
    )
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {
            find_model(model).name: tuple(_read_metric(entry) for entry in entries)
            for model, entries in document.items()
        }
    except OSError as error:
        raise RequestError(f"expected metrics at {path}, they cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"{expected}, got something else: {error}") from error


def _read_metric(entry: Mapping[str, object]) -> Metric:
    value = entry["value"]
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    texts = {key: text for key, text in entry.items() if key != "value"}
    if not all(isinstance(text, str) and text for text in texts.values()):
        raise ValueError(f"expected texts, got {texts}")
    return Metric(value=value, **cast(dict[str, str], texts))

"""Learning curve of a run as a picture."""

import json
from pathlib import Path


def draw_curve(log: Path, picture: Path) -> None:
    """Draw loss and validation errors over crops.

    Args:
        log: lines of JSON: stage, crops, loss, and any number of validation measures.
        picture: the .png to write.
    """
    # the Agg canvas directly: no global backend is switched, no window system needed
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    records = [json.loads(line) for line in log.read_text().splitlines()]
    stages = list(dict.fromkeys(record["stage"] for record in records))
    figure = Figure(figsize=(6.0 * len(stages), 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    for column, name in enumerate(stages):
        rows = [record for record in records if record["stage"] == name]
        axes = figure.add_subplot(1, len(stages), column + 1)
        axes.set_title(name)
        axes.set_xlabel("crops")
        axes.set_yscale("log")
        skipped = ("stage", "step", "crops", "seconds")
        for key in (key for key in rows[-1] if key not in skipped):
            points = [(row["crops"], row[key]) for row in rows if key in row]
            axes.plot(*zip(*points, strict=True), label=key)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    figure.savefig(picture, dpi=100)

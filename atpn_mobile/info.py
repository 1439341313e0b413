"""What is installed here: versions, engines, and models with the state of their files."""

import importlib.metadata
import platform
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from atpn_mobile._version import __version__
from atpn_mobile.backends import engines
from atpn_mobile.errors import ChecksumError, ManifestError, ModelNotFoundError
from atpn_mobile.manifest import Artifact, Manifest, load_manifest


def collect_info(models_dir: Path | None = None) -> dict[str, Any]:
    """Versions, engines and models as plain values for JSON.

    Args:
        models_dir: folder of manifest.json; None for the models that came with the package.

    Returns:
        ``version``, ``python``, ``platform``, ``numpy``, ``opencv``; ``engines``; ``models_folder``
        and ``models``, each file with a ``status`` of "ok", "altered" or "missing"; ``error``, what
        is wrong with the manifest, or None; ``intact``, whether there are models, each with files,
        and all of these are there and unaltered.
    """
    report: dict[str, Any] = {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "engines": _engines(),
        "models_folder": None,
        "models": [],
        "error": None,
        "intact": False,
    }
    try:
        manifest = load_manifest(models_dir)
    except ManifestError as error:
        report["error"] = str(error)
        return report
    report["models_folder"] = str(manifest.folder)
    report["models"] = _models(manifest)
    if not report["models"]:
        report["error"] = f"expected models in the manifest in {manifest.folder}, got none"
    report["intact"] = bool(report["models"]) and all(
        model["artifacts"] and all(file["status"] == "ok" for file in model["artifacts"])
        for model in report["models"]
    )
    return report


def _engines() -> list[dict[str, Any]]:
    """Every engine the package has a backend for, with what is installed of it."""
    distributions = importlib.metadata.packages_distributions()
    found = []
    for engine in engines():
        module = engine.module
        names = distributions.get(module, []) if module else []
        found.append(
            {
                "name": engine.name,
                "package": names[0] if names else module or engine.modules[0],
                "installed": engine.installed,
                "version": importlib.metadata.version(names[0]) if names else None,
                "install": engine.install_hint,
                "runs_here": engine.platform in (None, sys.platform),
            }
        )
    return found


def _models(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {
            "name": model.name,
            "version": model.version,
            "task": model.task,
            "parameters": model.parameters,
            "macs": model.macs,
            "license": model.license,
            "artifacts": [
                {
                    "runtime": artifact.runtime,
                    "precision": artifact.precision,
                    "path": artifact.path,
                    "bytes": artifact.size_bytes,
                    "sha256": artifact.sha256,
                    "status": _artifact_status(manifest, artifact),
                }
                for artifact in model.artifacts
            ],
        }
        for model in manifest.models
    ]


def _artifact_status(manifest: Manifest, artifact: Artifact) -> str:
    try:
        manifest.read_artifact(artifact)
    except ModelNotFoundError:
        return "missing"
    except ChecksumError:
        return "altered"
    return "ok"


def format_info(report: dict[str, Any]) -> str:
    """A report of ``collect_info`` as lines for people, without a newline at the end."""
    lines = [
        f"atpn-mobile {report['version']}",
        (
            f"python {report['python']}, numpy {report['numpy']}, OpenCV {report['opencv']}, "
            f"{report['platform']}"
        ),
        "",
        "engines",
    ]
    for engine in report["engines"]:
        state = f"{engine['package']} {engine['version'] or ''}".rstrip()
        if not engine["runs_here"]:
            state = "not on this system"
        elif not engine["installed"]:
            state = f"not installed: {engine['install']}"
        lines.append(f"  {engine['name']:<8} {state}")
    folder = report["models_folder"]
    lines += ["", f"models in {folder}" if folder else "models"]
    if report["error"]:
        lines.append(f"  error: {report['error']}")
    for model in report["models"]:
        lines.append(
            f"  {model['name']} {model['version']}, {model['task']}: "
            f"{model['parameters']:,} parameters, {model['macs'] / 1e6:.1f} M MACs"
        )
        if not model["artifacts"]:
            lines.append("    no files")
        lines += [
            f"    {file['runtime']:<7} {file['precision']:<8} {file['path']}  "
            f"{file['bytes'] / 1e6:.2f} MB  sha256 {file['sha256'][:12]}  {file['status']}"
            for file in model["artifacts"]
        ]
    return "\n".join(lines)

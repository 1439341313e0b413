"""Check that the Gradle project's files fit together, as far as reading them goes.

python android_demo/tools/check_gradle.py

Gradle cannot run here. This reads: what the build scripts take from the version catalog stands
there, and the other way round; modules, source folders, activities and resources exist; every text
of the app is used.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CATALOG = "gradle/libs.versions.toml"


def read(path: str) -> str:
    """A file of the demo."""
    return (ROOT / path).read_text(encoding="utf-8")


def catalog_sections() -> dict[str, dict[str, str]]:
    """The catalog: by section, by name, the rest of the line."""
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in read(CATALOG).splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            current = sections.setdefault(header[1], {})
        elif entry := re.fullmatch(r"([a-z0-9-]+) = (.+)", line):
            current[entry[1]] = entry[2]
        elif line.strip():
            sys.exit(f"expected a section or an entry in {CATALOG}, got {line!r}")
    return sections


def catalog_problems(scripts: str) -> Iterator[str]:
    """What the scripts ask for and the catalog has not, and what nothing asks for."""
    sections = catalog_sections()
    accessors = set(re.findall(r"\blibs\.([\w.]+)", scripts))
    offered = {name.replace("-", ".") for name in sections["libraries"]}
    offered |= {"plugins." + name.replace("-", ".") for name in sections["plugins"]}
    for name in sorted(accessors - offered):
        yield f"expected libs.{name} in {CATALOG}, it is not there"
    for name in sorted(offered - accessors):
        yield f"expected a build script to use libs.{name}, none does"
    entries = [*sections["libraries"].values(), *sections["plugins"].values()]
    used = {ref for entry in entries for ref in re.findall(r'version\.ref = "([^"]+)"', entry)}
    for name in sorted(used ^ set(sections["versions"])):
        yield f"expected the version {name} to be there and to be used"


def module_problems() -> Iterator[str]:
    """Modules and source folders that are named and do not exist."""
    for name in re.findall(r'":(\w+)"', read("settings.gradle.kts")):
        script = ROOT / name / "build.gradle.kts"
        if not script.is_file():
            yield f"expected {script}, it is not there"
            continue
        for call in re.findall(r"kotlin\.srcDirs?\(([^)]*)\)", script.read_text(encoding="utf-8")):
            for folder in re.findall(r'"([^"]+)"', call):
                if not list((script.parent / folder).rglob("*.kt")):
                    yield f"expected Kotlin files in {script.parent / folder}, there are none"


def screen_problems(folder: str, manifest: str, package: str) -> Iterator[str]:
    """Activities without a class; texts that are used and not there, or the other way round."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / folder).rglob("*.kt"))
    description = read(manifest)
    for name in re.findall(r'<activity\s+android:name="\.(\w+)"', description):
        if not re.search(rf"package {re.escape(package)}\b[\s\S]*\bclass {name}\b", code):
            yield f"expected the activity {package}.{name} of {manifest}, there is no such class"
    values = (ROOT / manifest).parent / "res" / "values" / "strings.xml"
    there = set(re.findall(r'<string name="(\w+)"', values.read_text(encoding="utf-8")))
    used = set(re.findall(r"R\.string\.(\w+)", code))
    used |= set(re.findall(r"@string/(\w+)", description))
    for name in sorted(there ^ used):
        yield f"expected the text {name} to be in {values} and to be used"


def main() -> int:
    """Read, report."""
    paths = [ROOT / "build.gradle.kts", *sorted(ROOT.glob("*/build.gradle.kts"))]
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    problems = [
        *catalog_problems(scripts),
        *module_problems(),
        *screen_problems("app/src/main", "app/src/main/AndroidManifest.xml", "atpn.app"),
        *screen_problems("camera2", "camera2/AndroidManifest.xml", "atpn.camera2"),
    ]
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    if not problems:
        sys.stdout.write("build scripts, version catalog, manifests and texts fit together\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

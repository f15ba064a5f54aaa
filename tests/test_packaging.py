"""What is installed is what was tested: the wheel, in an environment without the repository."""

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import histo

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# Import names that differ from the names of their distributions.
DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
    "openslide": "openslide-python",
    "pytestqt": "pytest-qt",
}


def requirement_name(text):
    return re.match(r"[A-Za-z0-9._-]+", text).group().lower().replace("_", "-")


def declared(*extras):
    names = {requirement_name(text) for text in PROJECT["dependencies"]}
    for extra in extras:
        names |= {requirement_name(text) for text in PROJECT["optional-dependencies"][extra]}
    return names


def third_party_imports(*folders):
    found = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                modules = []
                if isinstance(node, ast.Import):
                    modules = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    modules = [node.module]
                for module in modules:
                    top = module.split(".")[0]
                    if top not in sys.stdlib_module_names | {"histo", "napari_histo"}:
                        found[DISTRIBUTIONS.get(top, top).lower().replace("_", "-")] = path
    return found


@pytest.mark.parametrize(
    ("folders", "extras"),
    [
        (["histo"], []),
        (["plugins"], ["napari"]),
        (["tests"], ["napari", "test"]),
    ],
    ids=["histo", "plugins", "tests"],
)
def test_every_import_is_a_declared_dependency(folders, extras):
    allowed = declared(*extras)
    undeclared = {
        name: path.relative_to(ROOT).as_posix()
        for name, path in third_party_imports(*folders).items()
        if name not in allowed and not any((ROOT / "tests").rglob(f"{name.replace('-', '_')}.py"))
    }
    assert not undeclared


def test_versions_agree():
    assert PROJECT["version"] == histo.__version__
    assert f"[{histo.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8") or (
        "[Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    )


def test_every_dependency_has_its_reason_in_contributing():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").lower()
    extras = {"napari", "test", "dev", "all"}
    missing = {name for name in declared(*extras) - {PROJECT["name"]} if name not in text}
    assert not missing


def test_constraints_pin_every_direct_dependency_within_its_range():
    pins = dict(
        line.lower().replace("_", "-").split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    missing = declared("napari", "test", "dev", "all") - {PROJECT["name"]} - pins.keys()
    assert not missing
    for text in PROJECT["dependencies"]:
        lowest, pinned = re.search(r">=([\d.]+)", text).group(1), pins[requirement_name(text)]
        assert version(lowest) <= version(pinned), text


def version(text):
    return [int(part) for part in text.split(".")]


def test_no_dependency_of_the_core_is_gpl():
    # LGPL is linked and can be replaced; GPL would bind the whole.
    for name in sorted(declared()):
        metadata = importlib.metadata.metadata(name)
        words = [metadata.get("License-Expression") or metadata.get("License") or ""]
        words += [c for c in metadata.get_all("Classifier", []) if c.startswith("License")]
        text = re.sub(r"OR GPL-[\w.-]+", "", " ".join(words)[:400])  # a choice, not a duty
        assert not re.search(r"(?<!L)(?<!Lesser )\bGPL|GNU General Public", text), name


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


def files_below(folder):
    return {
        path.relative_to(ROOT / folder).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.slow
def test_the_wheel_carries_models_samples_and_data(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    below = {
        folder: {name.removeprefix(folder) for name in names if name.startswith(folder)}
        for folder in ("histo/_models/", "histo/_sample_images/")
    }
    assert any(name.endswith("rdf.yaml") for name in below["histo/_models/"])
    assert files_below("sample_images") <= below["histo/_sample_images/"]
    for room in ("histo/panel/panels", "histo/stain/matrices"):
        assert {f"{room}/{name}" for name in files_below(room)} <= names
    assert "napari_histo/napari.yaml" in names
    assert not [name for name in names if name.startswith(("tests/", "models/", "docs/"))]
    assert not [name for name in names if "__pycache__" in name]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install the wheel alone; the dependencies are taken from where the tests run."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder / "env", with_pip=False)
    scripts = folder / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    python = scripts / ("python.exe" if sys.platform == "win32" else "python")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
    subprocess.run(
        [*command, "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    # A folder that a .pth file names is searched, but its own .pth files are not read: so an
    # editable install of the repository does not leak in.
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.strip()
    paths = sysconfig.get_paths()
    lines = dict.fromkeys((paths["purelib"], paths["platlib"]))
    (Path(site) / "dependencies.pth").write_text("\n".join(lines) + "\n")
    return scripts, folder


def run_installed(installed, *words):
    scripts, folder = installed
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(scripts / words[0]), *words[1:]],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )


@pytest.mark.slow
def test_the_installed_program_is_not_the_repository(installed):
    done = run_installed(installed, "python", "-c", "import histo; print(histo.__file__)")
    assert Path(done.stdout.strip()).is_relative_to(installed[1]), done.stderr


@pytest.mark.slow
def test_the_installed_program_lists_its_panels_and_models(installed):
    panels = run_installed(installed, "histo", "panels", "--json")
    assert panels.returncode == 0, panels.stderr
    names = {panel["name"] for panel in json.loads(panels.stdout)}
    assert names == {path.stem for path in (ROOT / "histo/panel/panels").glob("*.toml")}

    models = run_installed(installed, "histo", "models", "--json")
    assert models.returncode == 0, models.stderr
    cards = json.loads(models.stdout)
    assert {card["name"] for card in cards} == {
        path.parent.name for path in (ROOT / "models").glob("*/rdf.yaml")
    }
    assert all(Path(card["folder"]).is_relative_to(installed[1]) for card in cards)


@pytest.mark.slow
def test_the_installed_program_analyses_a_sample_image(installed):
    done = run_installed(installed, "histo", "demo", "nuclei-if", "-o", "demo", "--json")
    assert done.returncode == 0, done.stderr
    (slide,) = json.loads(done.stdout)["slides"]
    folder = Path(slide["folder"])
    assert {"cells.parquet", "overview.png"} <= {path.name for path in folder.iterdir()}


@pytest.mark.slow
def test_the_installed_plugin_has_its_manifest(installed):
    code = (
        "from importlib.metadata import distribution, entry_points as e\n"
        "from importlib.resources import files\n"
        "(p,) = [p for p in e(group='napari.manifest') if p.name == 'napari-histo']\n"
        "module, _, name = p.value.partition(':')\n"
        "assert (files(module) / name).is_file()\n"
        "print(distribution('napari-histo').metadata['License-Expression'])\n"
    )
    done = run_installed(installed, "python", "-c", code)
    assert done.stdout.strip() == "BSD-3-Clause", done.stderr

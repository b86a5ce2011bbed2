"""What holds for the whole tree."""

import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from curation import errors

ROOT = Path(__file__).parent.parent


def all_errors() -> list[type[errors.CuraloopError]]:
    """Return every class of the tree."""
    return [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.CuraloopError)]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_errors_survive_the_way_back_from_a_worker(kind: type[errors.CuraloopError]) -> None:
    """Every error can be pickled with its fields and message, and is drawn in the docstring's tree."""
    annotations = ["str"] if kind is errors.CuraloopError else [str(p.annotation) for p in inspect.signature(kind).parameters.values()]
    examples = {"Path": Path("x"), "Path | str": Path("x"), "tuple[str, ...]": ("a", "b"), "int | None": 3}
    arguments = [examples.get(annotation, "word") for annotation in annotations]
    error = kind(*arguments)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - this is what a worker does
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
    assert kind.__name__ in str(errors.__doc__)
    assert kind.exit_code in (1, 2, 3)


@pytest.mark.parametrize("room", ["curation", "adaptation", "synthesis", "validation", "flows"])
def test_every_room_says_what_belongs_there(room: str) -> None:
    """The docstring of a package is the sign on its door, and nothing is re-exported."""
    source = (ROOT / room / "__init__.py").read_text()
    assert "Belongs here" in source
    assert "Not here" in source
    assert "import" not in source.split('"""')[2]


def test_no_module_is_an_attic() -> None:
    """Nothing is called utils, helpers, common, misc or base, and no file grows past 350 lines."""
    for path in [p for room in ("curation", "adaptation", "synthesis", "validation", "flows") for p in (ROOT / room).rglob("*.py")]:
        assert path.stem not in {"utils", "helpers", "common", "misc", "base"}, path
        assert len(path.read_text().splitlines()) <= 350, path


def test_no_flow_has_the_name_of_a_package() -> None:
    """A flow loaded by its path puts its folder first on sys.path and would shadow such a package."""
    packages = {"curation", "adaptation", "synthesis", "validation", "flows"} | set(sys.stdlib_module_names)
    for path in (ROOT / "flows").glob("*.py"):
        assert path.stem == "__init__" or path.stem not in packages, path


def test_curation_imports_without_heavy_libraries() -> None:
    """All of curation can be imported without torch, sklearn, prefect, dvc or Great Expectations."""
    files = [path for path in (ROOT / "curation").rglob("*.py") if path.stem != "__init__"]
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    heavy = {"torch", "sklearn", "prefect", "dvc", "great_expectations"}
    code = f"import sys\nfor name in {modules!r}: __import__(name)\nprint(sorted(set(sys.modules) & {heavy!r}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "[]"

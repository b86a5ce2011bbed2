"""The one settings object: the recipe `curaloop.toml`, overridden by `CURALOOP_*` environment variables.

`CURALOOP_REVIEW__BUDGET=20` sets `review.budget`. Paths in the recipe are relative to its folder. Wrong keys and values raise
`RecipeError` with the key and its line.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from adaptation.recipe import FinetuneSettings
from curation.deidentify.options import DeidentifySettings
from curation.errors import RecipeError, SourceError, UsageError, near
from curation.recipe import Frozen, GapSettings, HarmonizeSettings, ListenSettings, SourceSettings, SplitSettings
from synthesis.recipe import SynthesisSettings
from validation.recipe import LiftSettings, ReleaseSettings, ReviewSettings

PREFIX = "CURALOOP_"


class DatasetSettings(Frozen):
    """What the dataset is called, and what its card says."""

    name: str = Field(min_length=1, max_length=80)
    description: str = ""
    licence: str = Field(default="not stated", description="licence of the released images")


class RunSettings(Frozen):
    """Where stages run."""

    executor: str = Field(default="processes:2", pattern=r"^(serial|processes:\d+|dask:\S+)$", description="serial, processes:N, or dask:<scheduler address>")
    job_timeout_s: float = Field(default=600, gt=0, description="wall time after which a worker is stopped, and the file or series it reads is quarantined")
    worker_memory_gb: float = Field(default=8, gt=0, description="memory that one worker process may take; an image that needs more is quarantined")
    threads: int | None = Field(default=None, ge=1, description="threads of torch; empty: one for training a generator, measured for embedding")


class ServiceSettings(Frozen):
    """Addresses of a team's services; empty: those that `curaloop up` started. Tokens come from the environment only."""

    label_studio: str = ""
    prefect_api: str = ""


class Settings(BaseSettings):
    """The whole recipe."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__")

    dataset: DatasetSettings
    source: tuple[SourceSettings, ...] = ()
    listen: ListenSettings = ListenSettings()
    deidentify: DeidentifySettings = DeidentifySettings()
    harmonize: HarmonizeSettings = HarmonizeSettings()
    split: SplitSettings = SplitSettings()
    gaps: GapSettings = GapSettings()
    synthesis: SynthesisSettings = SynthesisSettings()
    review: ReviewSettings = ReviewSettings()
    lift: LiftSettings = LiftSettings()
    release: ReleaseSettings = ReleaseSettings()
    finetune: FinetuneSettings = FinetuneSettings()
    run: RunSettings = RunSettings()
    services: ServiceSettings = ServiceSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file."""
        return (env_settings, init_settings)


def read_settings(path: Path) -> Settings:
    """Return the recipe at `path`.

    Raises:
        RecipeError: the file is missing, is not TOML, or a key is unknown or has a wrong value.
    """
    try:
        text = path.read_text()
        content = tomllib.loads(text)
    except OSError as error:
        raise RecipeError(path, "file", error.strerror or "cannot be read") from error
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise RecipeError(path, "syntax", str(error), int(line[1]) if line else None) from error
    _refuse_unknown_tables()
    _read_fitted(content, path)
    try:
        settings = Settings(**content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "recipe"
        variable = PREFIX + "__".join(map(str, first["loc"])).upper()
        if variable in os.environ:
            raise RecipeError(Path("the environment"), variable, _sentence(first)) from error
        raise RecipeError(path, key, _sentence(first), find_line(text, first["loc"])) from error
    _refuse_same_names(settings, path, text)
    return settings.model_copy(update={"source": tuple(_resolve(source, path.parent) for source in settings.source)})


FITTED = (("mr", "nyul"), ("colour", "stain_reference"))
"""Keys of [harmonize] whose values stand in a file of `curaloop harmonize --fit`."""


def _read_fitted(content: dict[str, Any], path: Path) -> None:
    """Put the values of files that were fitted on train in the place of the files' names: what counts, and is hashed, are the values."""
    from curation.harmonize.fitting import read_fitted

    for table, key in FITTED:
        part = content.get("harmonize", {}).get(table, {})
        if isinstance(part.get(key), str) and part[key]:
            try:
                part[key] = read_fitted(path.parent / Path(part[key]).expanduser())
            except UsageError as error:
                raise RecipeError(path, f"harmonize.{table}.{key}", error.reason, find_line(path.read_text(), ("harmonize", table, key))) from error


def _sentence(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "no such key" + near(str(error["loc"][-1]), _keys_beside(error["loc"]))
    given = f" (found {error['input']!r})" if isinstance(error["input"], str | int | float | bool) else ""
    return str(error["msg"]).removeprefix("Value error, ") + given


def _keys_beside(location: tuple[str | int, ...]) -> list[str]:
    """Return the keys that the table of a wrong key may have; none where the table is no settings of ours."""
    model: Any = Settings
    for part in location[:-1]:
        if isinstance(part, str):
            kind = model.model_fields[part].annotation if part in model.model_fields else None
            model = next((one for one in (kind, *get_args(kind)) if hasattr(one, "model_fields")), None)
        if model is None:
            return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _refuse_unknown_tables() -> None:
    """Refuse variables like `CURALOOP_REVEW__BUDGET`, which would otherwise change nothing and say nothing."""
    for variable in os.environ:
        table, separator, _ = variable.removeprefix(PREFIX).lower().partition("__")
        if variable.startswith(PREFIX) and separator and table not in Settings.model_fields:
            raise RecipeError(Path("the environment"), variable, f"the recipe has no table {table!r}{near(table, [*Settings.model_fields])}")


def _refuse_same_names(settings: Settings, path: Path, text: str) -> None:
    names = [source.name for source in settings.source]
    for position, name in enumerate(names):
        if name in names[:position]:
            raise RecipeError(path, f"source.{position}.name", f"two sources are called {name!r}", find_line(text, ("source", position, "name")))


def _resolve(source: SourceSettings, folder: Path) -> SourceSettings:
    """Return the source with absolute paths; `~` and paths relative to the recipe are allowed."""

    def absolute(path: Path) -> Path:
        return Path(os.path.normpath(folder.resolve() / path.expanduser()))

    path = source.path if source.kind == "dicomweb" else absolute(source.path)
    return source.model_copy(update={"path": path, "table": absolute(source.table) if source.table else None})


def locate(error: SourceError, path: Path, settings: Settings) -> RecipeError:
    """Return the error with the place in the recipe that it is about."""
    position = [source.name for source in settings.source].index(error.source)
    location: tuple[str | int, ...] = ("source", position, *error.key.split("."))
    return RecipeError(path, f"source {error.source!r}: {error.key}", error.reason, find_line(path.read_text(), location))


def find_line(text: str, location: tuple[str | int, ...]) -> int | None:
    """Return the line (from 1) of the key at `location`, or of the table that should hold it."""
    parts = [part for part in location if isinstance(part, str)]
    number = next((part for part in location if isinstance(part, int)), 0)
    header, seen, nearest = "", -1, None
    for line, content in enumerate(text.splitlines(), start=1):
        if match := re.match(r"\s*\[\[?([^\]]+)\]\]?", content):
            header = match[1].strip()
            seen += header == parts[0] and content.lstrip().startswith("[[")
        in_table = seen in (-1, number) or not header.startswith("source")
        if not in_table:
            continue
        if header == ".".join(parts[: max(1, len(header.split(".")))]) and header:
            nearest = nearest or line
        key = re.match(r"\s*([A-Za-z0-9_-]+)\s*=", content)
        if key and [*([header] if header else []), key[1]] in (_prefixes(parts, header)):
            return line
    return nearest


def _prefixes(parts: list[str], header: str) -> list[list[str]]:
    """Return the [header, key] pairs that may stand for the location `parts` in the file."""
    depth = len(header.split(".")) if header else 0
    if header and header.split(".") != parts[:depth]:
        return []
    return [[*([header] if header else []), parts[depth]]] if len(parts) > depth else []

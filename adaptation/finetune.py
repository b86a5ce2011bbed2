"""Fine-tune on one dataset version: one probe a task on a frozen encoder, evaluated on real test patients.

A model folder is `workspace/models/<version>-<12 digits of the settings' hash>`: `model.safetensors`, `metrics.json` (written last: it
marks the training as finished), `predictions.parquet` (the evidence behind the metrics), `uncertainty.parquet` (for the next review queue),
`features-*.safetensors` (so that the next version embeds only what is new), and with `[finetune] combat` `combat-<task>.safetensors`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from adaptation.embeddings import Embedded, embed_rows
from adaptation.encoders import Encoder, Features, load_encoder
from adaptation.probe import save_probes
from adaptation.recipe import FinetuneSettings
from adaptation.site_correction import fit_correction
from adaptation.site_proof import HARMONIZED, SiteProof, prove_task
from adaptation.tasks import PREDICTIONS_SCHEMA, UNCERTAINTY_SCHEMA, Classes, TaskResult, find_classes, fit_task
from curation.errors import UsageError
from curation.manifest import write_bytes
from curation.modalities import with_task
from curation.progress import Progress, silent
from curation.project import Project
from curation.recipe import describe
from curation.versions import Version, open_version

METRICS, MODEL, UNCERTAINTY, PREDICTIONS = "metrics.json", "model.safetensors", "uncertainty.parquet", "predictions.parquet"


@dataclass(frozen=True)
class FinetuneReport:
    """What a fine-tuning did.

    Attributes:
        version: name of the dataset version.
        folder: the model's folder.
        reused: True when this version was already trained on with these settings, so that nothing was done.
        tasks: per task: classes, strength, macro metrics, balanced accuracy, ece, test counts, not_modelled, warning.
        train_images: images that the probes learned from, synthetic ones included.
        test_patients: real patients behind the metrics.
        embedded: distinct images that went through the encoder for this model.
        reused_features: distinct images whose features an earlier run had written.
        seconds: wall time of the training.
    """

    version: str
    folder: str
    reused: bool
    tasks: dict[str, dict[str, Any]]
    train_images: int
    test_patients: int
    embedded: int
    reused_features: int
    seconds: float


def finetune(project: Project, version: str | None, settings: FinetuneSettings, progress: Progress | None = None, threads: int | None = None) -> FinetuneReport:
    """Train and evaluate on a released version, exactly once for each (version, settings).

    A second call, also one at the same time in another process, returns the first one's results with `reused`. A killed training leaves no
    `metrics.json`: the next call does it again, but embeds only what is missing.

    Args:
        project: the dataset project.
        version: e.g. `data-v2`; None is the newest one.
        settings: the recipe's part.
        progress: told of every embedded image and every task.
        threads: threads of torch and of linear algebra; None measures which number is faster now.

    Raises:
        UsageError: no such version or encoder; ComBat is to refuse unseen sites, and there are some.
        ServiceError: the encoder's hub could not be reached.
    """
    from filelock import FileLock

    with open_version(project, version) as opened:
        folder = project.models / f"{opened.name}-{settings.sha256()[:12]}"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            if not (folder / METRICS).exists():
                _train(project, opened, settings, folder, progress or silent, threads)
                return _report(folder, reused=False)
    return _report(folder, reused=True)


def _train(project: Project, opened: Version, settings: FinetuneSettings, folder: Path, progress: Progress, threads: int | None) -> None:
    """Write everything that belongs into `folder`, `metrics.json` last."""
    from threadpoolctl import threadpool_limits

    started = time.perf_counter()
    rows = with_task(opened.manifest()).sort("image_id")
    classes = {task: find_classes(rows.filter(task=task), settings.least_train_images) for task in sorted(rows["task"].unique())}
    modelled = [task for task, found in classes.items() if found.modelled]
    encoder = load_encoder(settings.encoder, threads, settings.batch_size)
    wanted = rows.filter(pl.col("task").is_in(modelled))
    embedded = embed_rows(wanted, opened.pixels, encoder, project.models, folder, progress)
    results: dict[str, TaskResult] = {}
    proofs: list[SiteProof] = []
    with threadpool_limits(encoder.threads):
        for done, task in enumerate(modelled):
            progress(done, len(modelled), f"training {task}")
            mask = (wanted["task"] == task).to_numpy()
            own, features = wanted.filter(mask), embedded.features[mask]
            corrected, notes = _correct(own, features, settings, folder / f"combat-{task}.safetensors")
            results[task] = fit_task(own, corrected, classes[task], settings)
            results[task].summary["notes"] += notes
            proofs += [prove_task(task, own.filter(origin="acquired"), {HARMONIZED: features[_is_real(own)]}, "label", settings)] if notes else []
    _write_tables(results, folder)
    save_probes({task: result.probe for task, result in results.items()}, folder / MODEL, {"version": opened.name, "encoder_sha256": encoder.sha256})
    metrics = _describe_run(opened, settings, encoder, embedded, results, classes, wanted)
    if proofs:
        metrics["harmonization"] = {"tasks": [asdict(proof) for proof in proofs], "notes": []}
    metrics["seconds"] = round(time.perf_counter() - started, 3)
    write_bytes((json.dumps(metrics, indent=1, sort_keys=True, allow_nan=False) + "\n").encode(), folder / METRICS)


def _is_real(rows: pl.DataFrame) -> npt.NDArray[np.bool_]:
    return (rows["origin"] == "acquired").to_numpy()


def _correct(rows: pl.DataFrame, features: Features, settings: FinetuneSettings, path: Path) -> tuple[Features, list[str]]:
    """Return the features without the part of their site, when the recipe asks for it, and what a reader of the numbers should know."""
    if settings.combat == "off":
        return features, []
    if unknown := [name for name in settings.combat_preserve if name not in rows.columns]:
        raise UsageError(f"finetune.combat_preserve: there is no column {unknown[0]!r}")
    try:
        correction = fit_correction(rows, features, settings)
    except UsageError as error:  # one site only in this task, or one that decides the label
        return features, [f"the features are as they were: {error}"]
    correction.save(path)
    fitted = f"ComBat took the part of {len(correction.combat.sites)} values of {correction.column!r} out of the features"
    strange = correction.count_unseen(rows)
    return correction.apply(rows, features), [f"{fitted}; {strange} images of other sites: {settings.combat_unseen}" if strange else fitted]


def _write_tables(results: dict[str, TaskResult], folder: Path) -> None:
    """Write uncertainties and predictions of all tasks, sorted by image."""
    _write_table((result.uncertainty for result in results.values()), UNCERTAINTY_SCHEMA, folder / UNCERTAINTY)
    _write_table((result.predictions for result in results.values()), PREDICTIONS_SCHEMA, folder / PREDICTIONS)


def _write_table(tables: Iterable[pl.DataFrame], schema: pl.Schema, path: Path) -> None:
    import io

    buffer = io.BytesIO()
    pl.concat([pl.DataFrame(schema=schema), *tables]).sort("image_id").write_parquet(buffer, compression="zstd")
    write_bytes(buffer.getvalue(), path)


def _describe_run(
    opened: Version,
    settings: FinetuneSettings,
    encoder: Encoder,
    embedded: Embedded,
    results: dict[str, TaskResult],
    classes: dict[str, Classes],
    rows: pl.DataFrame,
) -> dict[str, Any]:
    """Return the content of metrics.json, but for the time."""
    is_test = (pl.col("split") == "test") & (pl.col("origin") == "acquired")
    tested = [rows.filter(is_test & (pl.col("task") == task) & pl.col("label").is_in(result.probe.classes)) for task, result in results.items()]
    patients = pl.concat([table.select(pl.coalesce("group_id", "patient_id")) for table in tested]).n_unique() if tested else 0
    too_few = "fewer than two classes have enough real train images"
    return {
        "version": opened.name,
        "recipe_sha256": settings.sha256(),
        "settings": describe(settings),
        "manifest_sha256": opened.release["files"]["manifest.parquet"],
        "encoder": {"name": encoder.name, "sha256": encoder.sha256, "dimension": encoder.dimension},
        "tasks": {task: result.summary for task, result in results.items()},
        "tasks_not_modelled": {task: {"reason": too_few, "real_train_images": found.too_few} for task, found in classes.items() if task not in results},
        "train_images": sum(result.summary["train"]["images"] for result in results.values()),
        "test_patients": patients,
        "embedded": embedded.embedded,
        "reused_features": embedded.reused,
    }


def _report(folder: Path, reused: bool) -> FinetuneReport:
    """Return the report of a finished model folder."""
    metrics = read_metrics(folder)
    kept = ("classes", "strength", "macro", "balanced_accuracy", "ece", "train", "test", "not_modelled", "warning")
    return FinetuneReport(
        version=metrics["version"],
        folder=str(folder),
        reused=reused,
        tasks={task: {key: summary[key] for key in kept} for task, summary in metrics["tasks"].items()},
        train_images=metrics["train_images"],
        test_patients=metrics["test_patients"],
        embedded=metrics["embedded"],
        reused_features=metrics["reused_features"],
        seconds=metrics["seconds"],
    )


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return the metrics.json of a finished model folder."""
    metrics: dict[str, Any] = json.loads((folder / METRICS).read_text())
    return metrics


def list_models(project: Project) -> list[Path]:
    """Return the folders of finished models, oldest version first; of one version, the one that finished last comes last."""
    found = [path.parent for path in project.models.glob(f"*/{METRICS}")]
    return sorted(found, key=lambda folder: (_version_number(folder), (folder / METRICS).stat().st_mtime_ns))


def _version_number(folder: Path) -> int:
    number = re.match(r"data-v(\d+)-", folder.name)
    return int(number[1]) if number else -1


def latest_uncertainty(project: Project) -> pl.DataFrame:
    """Return the uncertainties that the newest finished model wrote: image_id, task, predicted, confidence, uncertainty, label_issue_score,
    out_of_sample (False: the model saw this image in training). Without a model, a table without rows.
    """  # noqa: D205
    models = list_models(project)
    return pl.read_parquet(models[-1] / UNCERTAINTY) if models else pl.DataFrame(schema=UNCERTAINTY_SCHEMA)

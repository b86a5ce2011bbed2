"""What the readers' answers mean for a row: pure functions of rows and facts, the same for any order and any number of runs.

A real image is `confirmed` when the readers give the label that it had when they were asked, `relabelled` when they give another (either
way the label is now theirs), and `rejected` when they call it unusable: then it is not released. A synthetic image is `accepted` when they
call it usable and give the class that it was asked to show, else `rejected`. When the readers are split evenly there is no verdict, the
label is what it was before, and the route says `disagreement`. When they take their answers back, the image is as it was before they were asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import polars as pl

from curation.ledger import append_decision, read_ledger
from curation.project import Project
from validation.review.issued import read_lines

ACTIONS = {"accepted", "rejected", "relabelled", "confirmed", "disagreed", "withdrawn"}


class Opinion(NamedTuple):
    """What the readers together say of one image.

    Attributes:
        usable: the majority's answer; None for a tie.
        label: the class that most of those who call it usable give; None for a tie or when it is not usable.
        readers: people who answered.
        agreement: share of them who say exactly this.
        reviewed_at: time of the last answer.
        label_issued: label that the image had when the first answered task went out.
    """

    usable: bool | None
    label: str | None
    readers: int
    agreement: float
    reviewed_at: str
    label_issued: str | None

    @property
    def is_tie(self) -> bool:
        """Whether the readers are split evenly."""
        return self.usable is None or (self.usable and self.label is None)


def read_verdicts(project: Project) -> list[dict[str, Any]]:
    """Return every fact that `pull_verdicts` wrote, oldest first."""
    return read_lines(project.verdicts)


def gather_opinions(verdicts: Iterable[dict[str, Any]]) -> dict[str, Opinion]:
    """Return the opinion on each image_id, from the answers that stand."""
    images: dict[str, list[dict[str, Any]]] = {}
    for fact in standing_answers(verdicts):
        images.setdefault(fact["image_id"], []).append(fact)
    return {image_id: _agree(facts) for image_id, facts in images.items()}


def standing_answers(verdicts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one answer for each image and reader: the newest of those that were not taken back."""
    annotations: dict[tuple[str, str, int], dict[str, Any]] = {}
    for fact in sorted(verdicts, key=_age):
        annotations[fact["image_id"], fact["reader"], fact["annotation_id"]] = fact
    kept = sorted((fact for fact in annotations.values() if not fact["cancelled"]), key=_age)
    return list({(fact["image_id"], fact["reader"]): fact for fact in kept}.values())


def _age(fact: dict[str, Any]) -> tuple[str, int]:
    return fact["updated_at"], fact["annotation_id"]


def _agree(facts: list[dict[str, Any]]) -> Opinion:
    """Return the majority of one image's answers.

    Worked value: answers (usable, A), (usable, A), (usable, B) give label A, 3 readers, agreement 0.667.
    """
    facts = sorted(facts, key=_age)
    usable = _majority([fact["usable"] for fact in facts])
    label = _majority([fact["label"] for fact in facts if fact["usable"]]) if usable else None
    same = sum(fact["usable"] == usable and (not usable or fact["label"] == label) for fact in facts)
    return Opinion(usable, label, len(facts), same / len(facts), facts[-1]["updated_at"], facts[0]["label_issued"])


def _majority(votes: Sequence[Any]) -> Any:
    """Return the most frequent vote, or None when two are equally frequent."""
    ranked = Counter(votes).most_common(2)
    return None if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]) else ranked[0][0]


def apply_verdicts(rows: pl.DataFrame, verdicts: list[dict[str, Any]], readers_per_task: int = 1) -> pl.DataFrame:
    """Return the rows with what the readers said; pure, and applying it twice changes nothing more.

    Args:
        rows: any part of a manifest.
        verdicts: facts as `pull_verdicts` wrote them, in any order.
        readers_per_task: fewer answers than this: wait. Two readers or more make a label a `consensus`.
    """
    opinions = {image_id: each for image_id, each in gather_opinions(verdicts).items() if each.readers >= readers_per_task}
    issued = {fact["image_id"]: fact["label_issued"] for fact in sorted(verdicts, key=_age, reverse=True)}
    undone = pl.col("readers").is_not_null() & pl.col("image_id").is_in(sorted(issued.keys() - opinions.keys()))
    touched = rows.filter(pl.col("image_id").is_in(sorted(opinions)) | undone).iter_rows(named=True)
    changed = [_judge(row, opinions[key]) if (key := row["image_id"]) in opinions else _unjudge(row, issued[key]) for row in touched]
    return _replace(rows, pl.DataFrame(changed, schema=rows.schema)) if changed else rows


def _replace(rows: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with those of `changed` in place of their namesakes, in the same order."""
    order = rows.select("image_id").with_row_index("_place")
    kept = rows.join(changed.select("image_id"), on="image_id", how="anti")
    return pl.concat([kept, changed]).join(order, on="image_id").sort("_place").drop("_place")


def _judge(row: dict[str, Any], opinion: Opinion) -> dict[str, Any]:
    """Return one row with the readers' opinion."""
    row = row | {"readers": opinion.readers, "agreement": opinion.agreement, "reviewed_at": opinion.reviewed_at}
    if opinion.is_tie:
        tie = {"verdict": None, "agreement": None, "route": "disagreement", "route_reason": f"{opinion.readers} readers are split evenly"}
        return row | tie | _label_before(row, opinion.label_issued)
    row |= {"route": None, "route_reason": None} if row["route"] == "disagreement" else {}
    if row["origin"] == "synthetic":
        return row | {"verdict": "accepted" if opinion.usable and opinion.label == row["label"] else "rejected"}
    if not opinion.usable:
        return row | {"verdict": "rejected"} | _label_before(row, opinion.label_issued)
    verdict = "confirmed" if opinion.label == opinion.label_issued else "relabelled"
    source = "consensus" if opinion.readers > 1 else "expert"
    return row | {"verdict": verdict, "label": opinion.label, "label_source": source, "label_confidence": opinion.agreement}


def _unjudge(row: dict[str, Any], label_issued: str | None) -> dict[str, Any]:
    """Return one row without the opinion that its readers took back."""
    bare = dict.fromkeys(("verdict", "readers", "agreement", "reviewed_at"))
    route = dict.fromkeys(("route", "route_reason")) if row["route"] == "disagreement" else {}
    return row | bare | route | _label_before(row, label_issued)


def _label_before(row: dict[str, Any], label_issued: str | None) -> dict[str, Any]:
    """Return the label that an image had before readers who no longer agree gave it one, so that a new answer undoes an old one."""
    if row["label_source"] not in ("expert", "consensus"):
        return {}
    source = "source" if label_issued is not None else None
    return {"label": label_issued, "label_source": source, "label_confidence": None}


def record_verdict_decisions(project: Project, before: pl.DataFrame, after: pl.DataFrame) -> int:
    """Write one ledger line for each image whose verdict or label the readers changed, and return how many.

    A decision that is the newest on this image in the ledger already is not written again, so a run that was killed between the ledger
    and the manifest, or a workspace that was made again, repeats nothing.
    """
    newest = {line["what"]: line["new"] for line in read_ledger(project.ledger) if line["action"] in ACTIONS}
    old = {row["image_id"]: _decision(row) for row in before.select(DECISION).iter_rows(named=True)}
    written = 0
    for row in after.select(DECISION).sort("image_id").iter_rows(named=True):
        image_id, new = row["image_id"], _decision(row)
        is_judged = row["readers"] is not None  # a screen's refusal is not the readers'
        if new == newest.get(image_id) or not (is_judged or image_id in newest):
            continue
        action = row["verdict"] or "disagreed" if is_judged else "withdrawn"
        why = _why(row)
        append_decision(project.ledger, action, what=image_id, why=why, old=old.get(image_id), new=new, who="review")
        written += 1
    return written


def _why(row: dict[str, Any]) -> str:
    if row["readers"] is None:
        return "the readers took their answers back"
    return f"{row['readers']} reader(s), agreement {row['agreement']:.2f}" if row["agreement"] is not None else f"{row['readers']} readers are split evenly"


DECISION = ["image_id", "verdict", "label", "label_source", "route", "readers", "agreement"]


def _decision(row: dict[str, Any]) -> dict[str, Any]:
    return {"verdict": row["verdict"], "label": row["label"], "label_source": row["label_source"], "split_opinion": row["route"] == "disagreement"}

"""The command `lift`: the court that judges synthetic images, and the proof that it can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from curation.errors import UsageError
from flows.console import print_json
from flows.doorstep import at_work, wants_json

if TYPE_CHECKING:
    from validation.lift.proof import Proof


def lift(
    ctx: typer.Context,
    foresee: Annotated[
        bool, typer.Option("--foresee", help="Before a generator is trained: what would real images bring in its place, and could this test set show it?")
    ] = False,
    prove: Annotated[bool, typer.Option("--prove", help="Try the court on simulated batches whose worth is known; no project is needed.")] = False,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="With --prove: cohorts of each kind.")] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="With --prove: seed of the first cohort; another one is a fresh trial.")] = 0,
    json: Annotated[bool, typer.Option("--json", callback=wants_json, help="One JSON document on stdout.")] = False,
) -> None:
    """Judge the synthetic images: do they help on real test patients, more than what costs nothing?

    Every class gets accept, reject or inconclusive, with the reason; `curaloop release` lets in what was accepted. The same images are judged once.

    Example: [bold]curaloop lift --json > judgement.json[/]
    """
    if prove and foresee:
        raise UsageError("--foresee asks about this project and --prove about simulated ones: choose one")
    if prove:
        _prove(seeds, seed, json)
        return
    from flows.lifting import run_foresight, run_lift
    from flows.showing_lift import show_foresight, show_lift

    if foresee:
        foresight = at_work(ctx, run_foresight)
        print_json(foresight) if json else show_foresight(foresight)
        return
    report = at_work(ctx, run_lift)
    print_json(report) if json else show_lift(report)


def _prove(seeds: int, seed: int, json: bool) -> None:
    """Run the proof and tell it."""
    from flows.console import progress_bar, stdout_to_stderr
    from validation.lift.proof import PROOF_SETTINGS, prove

    with stdout_to_stderr(), progress_bar() as progress:
        proof = prove(PROOF_SETTINGS, seeds, seed, progress=progress)
    tell_proof(proof, json)


def tell_proof(proof: Proof, json: bool) -> None:
    """Print the proof; exit 1 when a verdict was wrong in more than 5 % of the runs of a kind.

    Raises:
        typer.Exit: the court is not proven.
    """
    from flows.showing_lift import show_lift_proof

    print_json(proof.to_json()) if json else show_lift_proof(proof)
    if not proof.is_proven:
        raise typer.Exit(1)

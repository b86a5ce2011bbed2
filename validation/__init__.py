"""What must hold before a release: invariants, the data contract, the experts' verdicts.

Belongs here: checks that return results, the one gate that raises, the review queue, the release itself. Label Studio
is spoken to only in `validation/review`, Great Expectations only in `validation/contract.py`. Not here: schedules and events (flows).
"""

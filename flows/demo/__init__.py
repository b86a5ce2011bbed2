"""The simulated hospital: a seeded phantom cohort with planted faults and their ground truth, and the run through the whole loop.

Belongs here: phantoms, the cohort's files, the demo's script and its count of found against planted faults. Not here: anything
that a real project needs.
"""

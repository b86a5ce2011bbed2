"""The screens: what a candidate must pass before an expert sees it, and what each screen is worth.

Each screen is a file: `memorization` (near-copies of train images), `agreement` (the wanted class is shown), `shortcut` (real and synthetic
images of a class are told apart) with `artefacts` and `swap`. Each is measured on planted faults (`planting`), as a `Rate` with its interval.
Nothing here reads files or knows a manifest; `synthesis/screening.py` runs them for one round of candidates.
"""

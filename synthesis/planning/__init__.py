"""How a generator is chosen for this data and this machine: look at both, time a few real steps, write down a plan with its reasons, keep it.

Belongs here: presets, fingerprints, trials, the decision. Not here: training itself (engines), the recipe's keys (`synthesis/recipe.py`).
"""

"""The whole path on any folder of images and any table: train, sample, screen, simulated review, court.

`python -m benchmarks.lift --help` says how. Every stage keeps its results as files in the work folder and goes on from them.
"""

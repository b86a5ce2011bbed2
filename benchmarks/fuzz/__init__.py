"""Broken files by the thousand: `python -m benchmarks.fuzz` damages sound files at random and runs the real readers on them in the real pool."""

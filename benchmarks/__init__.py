"""What is measured: each module has one `measure()` that returns lines with a target; `python -m benchmarks` prints them.

Figures are CPU seconds of whole processes, or ratios taken in one run. Nothing here runs in the tests.
"""

"""Speed and memory of synthesis, each figure beside the plain way, taken in turn in one process that does nothing else.

    make bench-synth
    python -m benchmarks.synth_speed step encoder     # only these parts

`probes` runs one part in a process of its own; `__main__` starts them, prints the table and writes it to benchmarks/results/.
"""

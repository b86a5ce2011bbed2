"""The front of the loop against its peers: `python -m benchmarks.front` (or `make bench-front`) measures, prints one table and exits 1 on a missed target.

`inputs` makes the files, `probes` are our own operations, each run in a process of its own, `peer_probes` are the peers', run by the interpreter of
`.venv-peers`; `__main__` pairs them and holds the targets. Inputs are generated, none is a patient's.
"""

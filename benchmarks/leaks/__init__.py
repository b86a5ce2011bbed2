"""The leak test: identifying tokens planted in every place that we know of, de-identified by several tools, and searched for in all that they wrote.

`tokens` makes them, `elements`, `objects`, `streams` and `others` plant them, `search` finds what is left, `tools` runs ours and the other programs,
`python -m benchmarks.leaks` prints the table. It is written from the standard and from what other tools leaked, not from what ours does.
"""

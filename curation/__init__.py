"""What an image is, where it came from, and which ones we keep.

Belongs here: the record and its manifest, sources, de-identification, harmonization, shards, duplicates, splits, gaps,
versions, the ledger. Imports without torch. Not here: models (adaptation), generators (synthesis), gates and experts
(validation), anything about when things run (flows).
"""

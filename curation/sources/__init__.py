"""Where images come from: which files there are (`walk`), what they are by their first bytes (`sniff`), what a table says of them (`table`).

Not here: decoding pixels (`dicom*`, `nifti`, `raster`), deciding what becomes of a file (`ingest`).
"""

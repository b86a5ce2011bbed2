"""How pixels of each kind of image are made alike: pure functions of arrays and settings.

One file a family (`ct`, `mr`, `xray`, `colour`), what they share in `resample`, and `recipes.harmonize` that picks the family. Not here:
reading files (`dicom*`, `nifti`, `raster`), writing them (`pixels`).
"""

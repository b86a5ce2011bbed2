"""How images of each kind are made alike: small transforms, one a file, over pure functions of arrays and settings.

The families `ct`, `mr`, `xray`, `colour` put them together in the recipe's order, and `recipes.harmonize` picks the family. What looks at more than one
image is fitted on train rows: pixels in `fitting` (Nyúl, stains), features in `combat` with `covariates`. Not here: reading files (`dicom*`, `nifti`,
`raster`), writing them (`pixels`), whether it helped (`adaptation.site_proof`).
"""

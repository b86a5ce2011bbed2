"""Files that may leave the house: new DICOM, NIfTI and PNG files made of what an allow-list names, and nothing else.

Belongs here: the lists (`allowed`, `private`, `devices`, `concepts`) and what follows from them and from the options for each element (`rules`, `options`),
the new object (`dataset`, `identity`, `pixels`, `objects`), the second look at the result (`harvest`, `second_look`), files and folders (`files`,
`folders`), the claim of conformance (`conformance`).
Not here: what enters the manifest (`curation/dicom_fields.py`), what pixels show (`curation/visible/`), and keyed pseudonyms (`curation/pseudonyms.py`).
"""

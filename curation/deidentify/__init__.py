"""Files that may leave the house: new DICOM, NIfTI and PNG files made of what an allow-list names, and nothing else.

Belongs here: the list (`allowed`), the new header (`dataset`), the second look at the result (`harvest`), files and folders (`files`).
Not here: what enters the manifest (`curation/dicom_fields.py`), and keyed pseudonyms (`curation/pseudonyms.py`).
"""

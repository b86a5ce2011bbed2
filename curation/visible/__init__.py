"""What a picture or a report shows of a person although no header says it: text in the pixels, a face in a head volume, names in free text.

Belongs here: the cheap look for letters (`candidates`), the reader of text (`ocr`), masking what was read (`burned_in`), by what a header says (`header_word`),
heads (`faces`), free text (`report_text`).
Not here: headers and metadata (`curation/deidentify/`), and what becomes of a refused file (`curation/outcomes.py`).
"""

"""The report of one version: one HTML file that opens anywhere, and the tables that every number in it comes from.

Belongs here: counting what a version already holds, charts, the page. Not here: deciding or measuring anything; a number that is
nowhere on file is not shown.
"""

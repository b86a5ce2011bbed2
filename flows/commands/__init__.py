"""The commands, by kind: `stages` (the loop), `versions` (what there is), `machine` (projects, servers, this computer).

Belongs here: options, help texts, how a report is shown. Not here: anything that a stage or a room could decide.
"""

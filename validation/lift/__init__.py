"""The lift court: does a batch of synthetic images help on real test patients, compared with what is free?

Belongs here: cohorts, arms, the student that every arm trains, the judging, the verdicts and the gate about them. Not here:
embedding images (adaptation), making and screening them (synthesis), the command (flows).
"""

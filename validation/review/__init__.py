"""The experts' part: what they are asked, in which order, and what becomes of their answers.

Belongs here: rendering for the eye, the queue, the questions, the one door to Label Studio's API (`studio.py`), issued tasks and
verdicts. Not here: starting and stopping a server (flows).
"""

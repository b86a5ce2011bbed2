"""Foundation models: embed images, fine-tune on a dataset version, evaluate on real test patients.

Belongs here: encoders, probes, metrics, uncertainty. transformers is imported only here. Not here: generators
(synthesis, which this room does not know), starting a training when a version is released (flows).
"""

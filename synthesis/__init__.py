"""How new images are made for a measured gap, and screened.

Belongs here: generators, sampling, screens. diffusers is imported only here. Not here: embeddings (a flow asks adaptation and hands
the arrays over), the experts' judgement (validation), deciding which gaps there are (curation).
"""

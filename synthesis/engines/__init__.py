"""Ways to make an image, all behind one interface (`engine.py`): diffusion in pixels, in latents, on a pretrained pipeline, of volumes, inside a mask.

Belongs here: one module an engine, and `loading.py`, which opens the one that a recipe or a folder names. Not here: which images are wanted,
how they are screened and stored (the modules above).
"""

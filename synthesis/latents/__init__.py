"""Latents: what an autoencoder packs images and volumes into, so that a generator has less to generate.

Belongs here: the autoencoders, their training, the scale of their latents. Not here: the diffusion that works in latents (`training.py`,
`sampling.py`) and the engines that put both together (`engines`).
"""

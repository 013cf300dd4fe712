"""Interfaces for users' code: texts or images in, latents and texts or images out."""

"""Metrics of a model on data: likelihood, latents, positions, texts, topics, labels."""

"""Texts in and out: files and data sets, tokenizers, batches, noise."""

"""Data sets: readers, tokenizers, fields, batches, caches."""

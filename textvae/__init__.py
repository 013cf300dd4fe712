"""Text-generation variational autoencoders."""

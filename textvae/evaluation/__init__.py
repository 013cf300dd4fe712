"""What a trained model is worth: likelihood, latents, positions, texts."""

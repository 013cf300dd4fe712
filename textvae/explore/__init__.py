"""A live page over the latent space of a trained model."""

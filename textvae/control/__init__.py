"""Control of a finished model by its codes: plug-in VAEs, steering, arithmetic of sentences."""

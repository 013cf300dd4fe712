"""Training: the Trainer, run folders, resuming, sharding, aggressive encoder updates."""

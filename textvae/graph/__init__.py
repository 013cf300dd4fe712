"""The model: a graph of named nodes, checked, run forward, refined, and sampled from."""

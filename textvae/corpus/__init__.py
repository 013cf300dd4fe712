"""The grammar of the shipped corpus, with its exact entropy."""

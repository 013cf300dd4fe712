"""What several test files share: commands, runs and models."""

"""What is computed from finished runs: diagnoses, comparisons, probes, reports, claims."""

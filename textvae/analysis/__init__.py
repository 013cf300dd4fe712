"""Analyses of finished runs: diagnoses, comparisons, probes, reports, claims."""

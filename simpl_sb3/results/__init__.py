"""What came out: rows, intervals, paths and completions, provenance. No torch."""

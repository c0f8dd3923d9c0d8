"""Collectors: one module per source, each yielding canonical record batches, completeness and a capture profile."""

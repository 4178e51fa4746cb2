"""From a volume and its levels to the table of bone density, and what is said beside it."""

"""Training and testing on a hospital's own CT and DXA."""

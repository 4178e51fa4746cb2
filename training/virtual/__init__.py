"""Virtual patients: anatomy of known mineral content, its simulated CT and its simulated DXA."""

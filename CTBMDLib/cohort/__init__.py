"""Many cases: opening one, running a batch, pairs of CT and DXA, calibration."""

"""Everything that makes the bundled model; never imported by CTBMD or CTBMDLib."""

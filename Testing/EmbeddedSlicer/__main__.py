"""Run a module: `python Testing/EmbeddedSlicer --module Module/Module.py --volume ct.nii.gz`."""

from EmbeddedSlicer.command import main

if __name__ == "__main__":
    raise SystemExit(main())

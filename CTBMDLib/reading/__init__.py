"""From a file or a folder to a CTVolume, or one sentence why not."""

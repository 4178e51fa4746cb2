"""From cohorts to trained networks: images, augmentation, training jobs."""

"""What a bundle is worth on simulated patients: figures, baselines, studies, report."""

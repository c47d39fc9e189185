"""Training of OutfitTransformer (arXiv 2204.04812): data, negatives, losses, calibration, questions, metrics, baselines."""

"""Training of OutfitTransformer (arXiv 2204.04812): data, negatives, losses, module, questions, baselines, plots."""

"""How each model gets better: data sets, LightningModules, losses, evaluation."""

"""Detector: data, LightningModule, loss, evaluation, pictures."""

"""Detector: data, LightningModule, loss, evaluation, plots."""

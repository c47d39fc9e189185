"""Garment detector: network, pre- and post-processing, artifact."""

"""OutfitTransformer (arXiv 2204.04812): do garments go together, and what completes an outfit?

`items` (what is seen of a garment) -> `towers` (frozen half of the encoder) -> `network` (trained half) -> `model` (answers).
`config` and `artifact` say what is on disk.
"""

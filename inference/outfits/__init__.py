"""OutfitTransformer (arXiv 2204.04812): do garments go together, and what completes an outfit?

`items` (garments as text and pixels) -> `towers` (frozen half of the encoder) -> `network` (trained half) -> `model` (answers).
`config` and `artifact` define the files on disk.
"""

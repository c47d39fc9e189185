"""OutfitTransformer (arXiv 2204.04812): do garments go together, and what completes an outfit?

`items` (garments, by `picture_titles` if need be) -> `towers` (frozen half of the encoder) -> `network` (trained half) -> `model`
(answers). `term_pairs` (which words go together) and the network's logit become a probability by `calibration`.
`config` and `artifact` define the files on disk.
"""

"""The drawn sample data: a small fashion shop, made from a seed with no download.

Read in this order: `palette` and `patterns` (colour), `pencil` and `body` (drawing), the garment files (one per body region),
`wardrobe` (what can be made), `shop` (products), `rules` and `outfits` (what goes together), `scenes` (pictures with boxes),
`source` (files on disk).
"""

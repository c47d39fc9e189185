"""Service `visual_analysis`: which garments a photo shows, and what the catalog has that looks like them."""

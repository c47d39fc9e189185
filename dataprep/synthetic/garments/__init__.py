"""How every garment is drawn, one file per body region; each file ends with its table from garment to drawing function."""

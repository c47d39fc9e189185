"""Data of the three trainings: raw sources, preparation, splits and the drawn sample."""

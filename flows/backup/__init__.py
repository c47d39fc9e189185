"""Backups of a home: what cannot be made again, as it was at one moment, while everything serves."""

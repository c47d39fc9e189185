"""Upgrades: every store of a home brought to what the code that is installed now wants, with a backup in hand."""

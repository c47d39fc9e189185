"""What runs a network: torch everywhere, OpenVINO where it is faster and gives the same answers."""

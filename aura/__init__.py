"""Ground floor of Aura: settings, taxonomy, errors, artifacts, tracking and the model registry.

Every other package may import this one; it imports none of them.
"""

"""Service `conversational_ai`: answers about clothes, grounded in the knowledge index."""

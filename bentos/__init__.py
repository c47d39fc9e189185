"""How apps reach the models: one BentoML project per service, and `serving/`, what they share."""

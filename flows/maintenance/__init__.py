"""What is looked after once a week."""

"""Service `outfit_recommendation`: does an outfit work, and what completes it."""

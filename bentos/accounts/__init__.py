"""Service `accounts`: who people are, their sessions, and what is theirs."""

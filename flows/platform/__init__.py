"""Everything on one machine, without containers: `aura up` and `aura down`."""

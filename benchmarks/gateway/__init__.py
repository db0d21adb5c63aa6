"""What the gateway costs, and what it bears."""

"""Several replicas over the board that they share, in virtual time."""

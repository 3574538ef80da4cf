"""Plants violations of each invariant into a true story."""

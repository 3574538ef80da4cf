"""What messages cost, and the book that says so."""

"""The proof: folders say what a test may touch."""

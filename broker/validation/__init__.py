"""What a producer can ask before publishing: everything that plan would object to, at once."""

"""The broker's side of the gateway hop."""

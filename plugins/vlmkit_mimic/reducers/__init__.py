"""Ways to leave a model fewer visual tokens."""

"""Token trees: exact scores of many options in few forwards."""

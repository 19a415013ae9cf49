"""What plugin authors and vlmkit's own suite test with: small random models, made on the spot."""

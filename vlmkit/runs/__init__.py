"""A run: its directory, its records, its results, and how it resumes."""

"""Reading what users bring: pictures and label files."""

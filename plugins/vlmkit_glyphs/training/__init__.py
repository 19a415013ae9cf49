"""The recipe of the embedded model ``tiny``: a small Qwen3-VL trained to read short lists of glyph labels."""

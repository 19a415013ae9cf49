"""``python -m vlmkit_glyphs.training``: the command ``vlmkit glyphs train`` from a checkout."""

from vlmkit_glyphs.commands import train

if __name__ == "__main__":
    train()

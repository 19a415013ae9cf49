"""``python -m vlmkit``."""

from vlmkit.cli.main import main

if __name__ == "__main__":
    main()

"""The command ``quantd``, also ``python -m quantd``."""

from quantd.cli import app


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()

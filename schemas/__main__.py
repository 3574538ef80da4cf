"""``python -m schemas``: write the generated documents beside the types."""

from pathlib import Path

from schemas.documents import documents

FOLDER = Path(__file__).parent / "generated"


def main() -> None:
    """Write every document to ``schemas/generated``."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_bytes(text)


if __name__ == "__main__":
    main()

"""``python -m schemas.contract``: writes the generated documents, in a checkout: examples stand under ``deploy``."""

from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.contract.asyncapi import asyncapi
from schemas.contract.html_page import page
from schemas.contract.json_schema import documents, text_of

FOLDER: Final = Path(__file__).parents[1] / "generated"
EXAMPLES: Final = Path(__file__).parents[2] / "deploy" / "dev" / "examples"


def written() -> dict[str, bytes]:
    """Every generated file by its name: the schemas, the vectors, and AsyncAPI as a document and as a page."""
    found = documents()
    generated = {name: _object(text) for name, text in found.items()}
    contract = asyncapi(generated, {path.stem: _object(path.read_bytes()) for path in EXAMPLES.glob("*.json")})
    return {**found, "asyncapi.json": text_of(contract), "asyncapi.html": page(contract).encode()}


def _object(text: bytes) -> dict[str, Any]:
    return msgspec.json.decode(text, type=dict[str, Any])


def main() -> None:
    """Write every document to ``schemas/generated``."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in written().items():
        (FOLDER / name).write_bytes(text)


if __name__ == "__main__":
    main()

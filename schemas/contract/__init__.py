"""Documents made from the formats: JSON Schema, AsyncAPI, the page, vectors, and what breaks compatibility."""

"""Tests of formats that others depend on: golden bytes, schemas, vectors."""

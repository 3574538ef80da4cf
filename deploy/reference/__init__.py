"""Generates pages below ``deploy`` from the program: commands, settings, metrics and a dashboard."""

"""What the program says of itself: commands, settings, metrics and a dashboard, as pages below ``deploy``."""

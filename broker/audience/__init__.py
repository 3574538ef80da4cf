"""Who may be told what: consent and suppressions, and the members of lists. Both are joins over logs."""

"""Tests the auditor: a true story passes, each planted violation is named."""

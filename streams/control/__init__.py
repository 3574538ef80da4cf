"""What people at a terminal need to pause, resume and cancel: which requests there are, what stands, and how many wait."""
